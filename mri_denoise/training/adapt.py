"""Fine-tune a bundle on noisy images without references, and make a new bundle of the result."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mri_denoise._monai import import_monai
from mri_denoise.bundles.registry import Bundle, Model
from mri_denoise.bundles.trust import remember
from mri_denoise.bundles.weights import sha256
from mri_denoise.errors import InputError
from mri_denoise.io.case import Case
from mri_denoise.io.files import folder_beside
from mri_denoise.record import FileHash, now, versions, write_record
from mri_denoise.runtime import choose_device, quiet
from mri_denoise.settings import DEFAULTS, Sigma

if TYPE_CHECKING:
    from mri_denoise.training.recorruption import HeldOutCurve

RECORD = "adaptation.json"
_RECORDED = (
    "steps",
    "interval",
    "learning_rate",
    "batch_size",
    "patch_size",
    "alpha",
    "max_volumes",
    "seed",
    "precision",
)


@dataclass(frozen=True, kw_only=True)
class AdaptSettings:
    """What a user chooses for an adaptation; ``adapt.yaml`` chooses what is None.

    Args:
        sigma: the noise level: automatic, local or a number.
        steps: of the optimiser, 1 or more.
        learning_rate: of AdamW.
        seed: of everything random.
        device: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
    """

    sigma: Sigma = field(default_factory=Sigma)
    steps: int | None = None
    learning_rate: float | None = None
    seed: int = 0
    device: str = DEFAULTS.device


@dataclass(frozen=True, kw_only=True)
class HeldOutLoss:
    """The mean loss of the held-out slices at one validation.

    Args:
        step: of the optimiser; 0 is the unchanged network.
        loss: in units of sigma^2.
    """

    step: int
    loss: float


@dataclass(frozen=True, kw_only=True)
class AdaptationRecord:
    """How a bundle was adapted.

    Args:
        time: when it was done, UTC, ISO 8601.
        improved: whether the new bundle has new weights; otherwise it has the original ones.
        held_out_gain: how far the best held-out loss is below the first one.
        held_out_gain_error: standard error of the gain.
        held_out_loss: of each validation, in order.
        settings: the values that were used, by name.
        original: the bundle that was adapted.
        weights_sha256: SHA-256 of the new bundle's weights in hexadecimal digits.
        inputs: the noisy files.
        versions: of this package and of those that shape the result.
    """

    time: str
    improved: bool
    held_out_gain: float
    held_out_gain_error: float
    held_out_loss: Sequence[HeldOutLoss]
    settings: Mapping[str, str | float | int]
    original: Model
    weights_sha256: str
    inputs: Sequence[FileHash]
    versions: Mapping[str, str]

    def as_dict(self) -> dict[str, Any]:
        """Give the record in types that JSON knows."""
        return asdict(self)


def adapt_bundle(
    bundle: Bundle,
    cases: Sequence[Case],
    output: Path,
    settings: AdaptSettings,
    overrides: Mapping[str, object] | None = None,
) -> AdaptationRecord:
    """Fine-tune on noisy cases; if held-out slices gain nothing, the new bundle has the original weights.

    Args:
        bundle: what is fine-tuned: its ``inference.yaml`` with its ``adapt.yaml``.
        cases: noisy images, at least one.
        output: folder of the new bundle, absent or empty; it appears whole or not at all.
        settings: the user's choices.
        overrides: more values of the configs to change.

    Returns:
        the record, which is also in ``docs/adaptation.json`` of the new bundle.

    Raises:
        InputError: if the bundle has no ``adapt.yaml``, an image cannot be read, nothing can be learned from the
            images, or the new bundle cannot be written.
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
    remember(output)
    return record


def _adapt(
    bundle: Bundle, cases: Sequence[Case], folder: Path, settings: AdaptSettings, overrides: Mapping[str, object]
) -> AdaptationRecord:
    """Fine-tune, and write the new bundle into an empty folder; returns the record."""
    from mri_denoise.training.begin import copy_bundle
    from mri_denoise.training.train import export_weights

    copy_bundle(bundle, folder)
    curve, values = _run(bundle, cases, folder / "adapt", settings, overrides)
    if curve.improved():
        export_weights(folder / "adapt" / "models" / "model.pt", folder / "models")
    else:
        shutil.copytree(bundle.weights.parent, folder / "models", dirs_exist_ok=True)
    shutil.rmtree(folder / "adapt")
    record = _record(bundle, cases, curve, values, sha256(folder / "models" / bundle.weights.name))
    (folder / "docs").mkdir(exist_ok=True)
    write_record(record.as_dict(), folder / "docs" / RECORD)
    return record


def _run(
    bundle: Bundle, cases: Sequence[Case], work: Path, settings: AdaptSettings, overrides: Mapping[str, object]
) -> tuple[HeldOutCurve, dict[str, str | float | int]]:
    """Run the bundle's ``adapt.yaml``; returns the held-out losses and the values that were used."""
    chosen: dict[str, Any] = {"sigma": str(settings.sigma), "seed": settings.seed}
    optional = {"steps": settings.steps, "learning_rate": settings.learning_rate}
    chosen |= {name: value for name, value in optional.items() if value is not None}
    with quiet():
        import_monai(everything=True)  # a run before this one may have left most of it out
        from monai.bundle import ConfigWorkflow

        from mri_denoise.training.workflow import run_training

        workflow = ConfigWorkflow(
            config_file=[str(bundle.config("inference.yaml")), str(bundle.config("adapt.yaml"))],
            meta_file=str(bundle.config("metadata.json")),
            logging_file=False,
            workflow_type="train",
            bundle_root=str(bundle.folder),
            output_dir=str(work),
            device=f"$torch.device('{choose_device(settings.device)}')",
            **{**chosen, **overrides},
        )
        # a config cannot hold cases, which are objects: they replace the result of the config's own discovery
        workflow.parser["cases"] = list(cases)
        run_training(workflow, bundle)
        parser = workflow.parser
        values = {name: parser.get_parsed_content(name) for name in _RECORDED}
        values |= {"sigma": chosen["sigma"], "device": settings.device}
        return parser.get_parsed_content("validate#curve"), values


def _record(
    bundle: Bundle,
    cases: Sequence[Case],
    curve: HeldOutCurve,
    values: Mapping[str, str | float | int],
    weights_sha256: str,
) -> AdaptationRecord:
    gain, error = curve.gain()
    steps, interval = int(values["steps"]), int(values["interval"])
    return AdaptationRecord(
        time=now(),
        improved=curve.improved(),
        held_out_gain=gain,
        held_out_gain_error=error,
        held_out_loss=[HeldOutLoss(step=min(i * interval, steps), loss=v) for i, v in enumerate(curve.losses)],
        settings=values,
        original=Model(name=bundle.name, version=bundle.version, weights_sha256=sha256(bundle.weights)),
        weights_sha256=weights_sha256,
        inputs=[FileHash(path=str(p), sha256=sha256(p)) for case in cases for p in case.sources],
        versions=versions(),
    )
