"""Fine-tune a bundle on noisy images without references, and make a bundle of the result."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mri_denoise import record as provenance
from mri_denoise._monai import import_monai
from mri_denoise.bundles.registry import Bundle
from mri_denoise.bundles.weights import sha256
from mri_denoise.errors import InputError
from mri_denoise.io.case import Case
from mri_denoise.io.files import folder_beside
from mri_denoise.runtime import choose_device, quiet

RECORD = "adaptation.json"


@dataclass
class AdaptSettings:
    """What a user chooses for an adaptation; None is what ``adapt.yaml`` says.

    Args:
        sigma: ``"auto"``, ``"map"``, or a number in the files' units.
        steps: of the optimiser.
        learning_rate: of AdamW.
        seed: of everything random.
        device: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
    """

    sigma: str = "auto"
    steps: int | None = None
    learning_rate: float | None = None
    seed: int = 0
    device: str = "auto"


def adapt_bundle(
    bundle: Bundle,
    cases: Sequence[Case],
    output: Path,
    settings: AdaptSettings,
    overrides: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Fine-tune on noisy cases; where held-out slices gain nothing, the new bundle has the old weights.

    Args:
        bundle: what is fine-tuned: its ``inference.yaml`` with its ``adapt.yaml``.
        cases: noisy images, at least one.
        output: folder of the new bundle, which must not be there or be empty; it appears whole or not at all.
        settings: the user's choices.
        overrides: more values of the configs to change.

    Returns:
        the record, which is also in ``docs/adaptation.json`` of the new bundle.

    Raises:
        InputError: if the bundle has no ``adapt.yaml``, an image cannot be read, or nothing can be learned from them.
    """
    if not bundle.config("adapt.yaml").is_file():
        raise InputError(f"model {bundle.name}: cannot be adapted, it has no adapt.yaml; choose another model.")
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise InputError(f"{output}: exists; choose another output, the new bundle needs a folder of its own.")
    with folder_beside(output) as partial:
        record = _adapt(bundle, cases, partial, settings, overrides or {})
        if output.exists():
            output.rmdir()
        os.replace(partial, output)
    return record


def _adapt(
    bundle: Bundle, cases: Sequence[Case], folder: Path, settings: AdaptSettings, overrides: dict[str, Any]
) -> dict[str, Any]:
    """Fine-tune, and write the new bundle into an empty folder; gives the record."""
    from mri_denoise.training.train import copy_bundle, export_weights

    copy_bundle(bundle, folder)
    curve, values = _run(bundle, cases, folder / "adapt", settings, overrides)
    gain, error = curve.gain()
    if curve.improved():
        export_weights(folder / "adapt" / "models" / "model.pt", folder / "models")
    else:
        shutil.copytree(bundle.weights.parent, folder / "models")
    shutil.rmtree(folder / "adapt")
    record: dict[str, Any] = {
        "time": provenance.now(),
        "improved": curve.improved(),
        "held_out_gain": gain,
        "held_out_gain_error": error,
        "held_out_loss": [
            {"step": min(i * values["interval"], values["steps"]), "loss": v} for i, v in enumerate(curve.losses)
        ],
        "settings": {**values, "sigma": settings.sigma, "device": settings.device},
        "from": {"name": bundle.name, "version": bundle.version, "weights_sha256": sha256(bundle.weights)},
        "weights_sha256": sha256(folder / "models" / bundle.weights.name),
        "inputs": [{"path": str(p), "sha256": sha256(p)} for case in cases for p in case.sources],
        "versions": provenance.versions(),
    }
    (folder / "docs").mkdir(exist_ok=True)
    provenance.write_record(record, folder / "docs" / RECORD)
    return record


def _run(
    bundle: Bundle, cases: Sequence[Case], work: Path, settings: AdaptSettings, overrides: dict[str, Any]
) -> tuple[Any, dict[str, Any]]:
    """Run the bundle's ``adapt.yaml``; gives the held-out curve and the values that were used."""
    chosen = {k: v for k, v in asdict(settings).items() if v is not None and k != "device"}
    with quiet():
        import_monai(everything=True)  # a run before this one may have left most of it out
        from monai.bundle import ConfigWorkflow

        from mri_denoise.training.train import run_training

        workflow = ConfigWorkflow(
            config_file=[str(bundle.config("inference.yaml")), str(bundle.config("adapt.yaml"))],
            meta_file=str(bundle.config("metadata.json")),
            logging_file=False,
            workflow_type="train",
            bundle_root=str(bundle.folder),
            output_dir=str(work),
            device=f"$torch.device('{choose_device(settings.device)}')",
            **chosen,
            **overrides,
        )
        # cases are objects, which a config cannot hold: they replace what discovery would find
        workflow.parser["cases"] = list(cases)
        run_training(workflow, bundle)
        parser = workflow.parser
        names = ("steps", "interval", "learning_rate", "batch_size", "patch_size", "alpha", "max_volumes", "seed")
        return parser.get_parsed_content("validate#curve"), {n: parser.get_parsed_content(n) for n in names}
