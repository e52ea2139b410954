"""Run a bundle's training and make a new bundle of the result."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigWorkflow

from mri_denoise._monai import import_monai
from mri_denoise.bundles.registry import Bundle
from mri_denoise.bundles.trust import remember
from mri_denoise.bundles.weights import record_sha256
from mri_denoise.errors import InputError, find_error


def train_bundle(
    bundle: Bundle, dataset: Path, output: Path, resume: bool = False, overrides: Mapping[str, object] | None = None
) -> Path:
    """Run a bundle's ``train.yaml`` and make a bundle of the same configs with the best weights.

    Args:
        bundle: what is trained.
        dataset: folder with ``datalist.json``.
        output: folder of the new bundle; the states of training and the logs go to its ``train`` folder.
        resume: whether to go on from the last state.
        overrides: values of ``train.yaml`` to change.

    Returns:
        the path of the new weights.

    Raises:
        InputError: if ``output`` is the bundle itself, the bundle or an input cannot be used, TensorBoard is missing,
            or the training leaves no weights.
    """
    if output.resolve() == bundle.folder:
        raise InputError(f"{output}: is the bundle itself; choose another output.")
    config = bundle.config("train.yaml")
    if config.is_file() and "TensorBoard" in config.read_text(encoding="utf-8") and find_spec("tensorboard") is None:
        raise InputError(f"{config}: needs TensorBoard; run: python -m pip install 'mri-denoise[train]'.")
    copy_bundle(bundle, output)
    values: dict[str, Any] = {"bundle_root": str(output), "dataset_dir": str(dataset), "resume": resume}
    import_monai(everything=True)  # a run before this one may have left most of it out
    workflow = ConfigWorkflow(
        config_file=str(output / "configs" / "train.yaml"),
        meta_file=str(output / "configs" / "metadata.json"),
        workflow_type="train",
        **{**values, **(overrides or {})},
    )
    run_training(workflow, bundle)
    best = output / "train" / "models" / "model.pt"
    if not best.is_file():
        raise InputError(f"{best}: the training left no weights; give it at least one epoch with validation.")
    remember(output)
    return export_weights(best, output / "models")


def run_training(workflow: ConfigWorkflow, bundle: Bundle) -> None:
    """Run a training workflow from its start to its end.

    Args:
        workflow: what is run.
        bundle: named in messages.

    Raises:
        InputError: if the bundle lacks a property that MONAI requires of a training, or an input cannot be used.
    """
    try:
        try:
            workflow.initialize()
            missing = workflow.check_properties()
            if missing:
                raise InputError(f"{bundle.folder}: not a training bundle, it lacks {', '.join(missing)}.")
            workflow.run()
        finally:
            workflow.finalize()
    except Exception as error:
        raise find_error(error) or error from error


def copy_bundle(bundle: Bundle, output: Path) -> None:
    """Copy a bundle without its weights: configs, docs and licence.

    Args:
        bundle: what is copied.
        output: the new folder; it may exist.
    """
    output.mkdir(parents=True, exist_ok=True)
    for part in ("configs", "docs", "LICENSE"):
        source = bundle.folder / part
        if source.is_dir():
            shutil.copytree(source, output / part, dirs_exist_ok=True)
        elif source.is_file():
            shutil.copy2(source, output / part)


def export_weights(checkpoint: Path, models: Path) -> Path:
    """Save the weights of a training checkpoint as ``model.pt``, with its SHA-256 in ``SHA256SUMS``.

    Args:
        checkpoint: a state dict, or a dictionary with one under ``model``.
        models: the folder ``models`` of a bundle.

    Returns:
        the path of ``model.pt``.
    """
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    state = {name: tensor.contiguous() for name, tensor in state.get("model", state).items()}
    models.mkdir(parents=True, exist_ok=True)
    torch.save(state, models / "model.pt")
    record_sha256(models)
    return models / "model.pt"
