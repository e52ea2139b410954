"""Run a bundle's training and make a new bundle of the result."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from mri_denoise.bundles.registry import Bundle, Model
from mri_denoise.bundles.trust import remember
from mri_denoise.bundles.weights import record_sha256, sha256
from mri_denoise.errors import InputError
from mri_denoise.record import now, versions, write_record
from mri_denoise.runtime import choose_device, process_rank, quiet
from mri_denoise.settings import DEFAULTS
from mri_denoise.training.begin import TRAIN, Beginning, check_start, copy_bundle
from mri_denoise.training.course import Course, EpochResult, Watcher
from mri_denoise.training.scans import DATALIST
from mri_denoise.training.workflow import make_workflow, run_training

RECORD = "training.json"
MANY = "multi_gpu_train.yaml"
_MEMORY_SHARE = 0.5  # of the free memory, for training volumes


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """What a user chooses for a training; the configs choose what is None.

    Args:
        epochs: in all, 1 or more.
        device: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
        overrides: values of the configs to change.
    """

    epochs: int | None = None
    device: str = DEFAULTS.device
    overrides: Mapping[str, object] | None = None


@dataclass(frozen=True, kw_only=True)
class TrainingRecord:
    """How a bundle was trained.

    Args:
        time: when it was done, UTC, ISO 8601.
        configs: of the bundle, merged in this order.
        before: the validation of the weights that training began with; None from scratch.
        best: the epoch whose weights the new bundle has.
        improved: whether it has new weights; otherwise it has those that training began with.
        epochs: what each epoch gave.
        settings: the values that the user changed, by name.
        seed: of the split and of everything random.
        original: the bundle that was trained.
        weights_sha256: SHA-256 of the new bundle's weights in hexadecimal digits.
        datalist_sha256: of the list of the scans.
        versions: of this package and of those that shape the result.
    """

    time: str
    configs: Sequence[str]
    before: EpochResult | None
    best: EpochResult
    improved: bool
    epochs: Sequence[EpochResult]
    settings: Mapping[str, object]
    seed: int
    original: Model
    weights_sha256: str
    datalist_sha256: str
    versions: Mapping[str, str]

    def as_dict(self) -> dict[str, Any]:
        """Give the record in types that JSON knows."""
        return asdict(self)


def train_bundle(
    bundle: Bundle, output: Path, beginning: Beginning, settings: TrainSettings, watcher: Watcher | None = None
) -> TrainingRecord | None:
    """Train, or go on with a training, and make a bundle of the same configs with the best weights.

    Under ``torchrun`` the processes share the work, by ``multi_gpu_train.yaml``; the first one writes and tells.

    Args:
        bundle: what is trained.
        output: folder of the new bundle, which :func:`~mri_denoise.training.begin.begin` made. The states of training,
            its pictures and logs are in its ``train`` folder.
        beginning: how the training began.
        settings: the user's choices.
        watcher: is told how far it is.

    Returns:
        the record, which is also in ``docs/training.json`` of the new bundle; None in all processes but the first.

    Raises:
        InputError: if the bundle or a scan cannot be used, or the training is complete already.
    """
    work = output / TRAIN
    rank, processes = process_rank()
    chosen = dict(settings.overrides or {})
    if settings.epochs is not None:
        chosen["max_epochs"] = settings.epochs
    configs = [*beginning.configs, *([MANY] if processes > 1 else [])]
    with quiet():
        values = _values(bundle, work, beginning, settings.device if processes == 1 else "auto")
        workflow = make_workflow(output, configs, {**values, **chosen})
        course = Course(work / "history.json", watcher or Watcher())
        done = max((result.epoch for result in course.results), default=0)
        epochs = int(workflow.parser.get_parsed_content("max_epochs"))
        finished = (output / "models" / "model.pt").is_file()
        if done >= epochs and finished:
            raise InputError(f"{output}: has {done} epochs already; ask for more with --epochs.")
        if done < epochs:
            run_training(workflow, bundle, *((course, work / "pictures") if rank == 0 else ()))
    return _finish(bundle, output, beginning, course, chosen) if rank == 0 else None


def _finish(
    bundle: Bundle, output: Path, beginning: Beginning, course: Course, chosen: Mapping[str, object]
) -> TrainingRecord:
    """Put the best weights into the new bundle, and record how it was trained."""
    work, best = output / TRAIN, course.best()
    if best.epoch:
        export_weights(work / "models" / "model.pt", output / "models")
    else:
        _keep_weights(bundle, output / "models")
    remember(output)
    before = next((result for result in course.results if result.epoch == 0), None)
    record = TrainingRecord(
        time=now(),
        configs=beginning.configs,
        before=before,
        best=best,
        improved=best.epoch > 0,
        epochs=course.results,
        settings=chosen,
        seed=beginning.seed,
        original=Model(name=bundle.name, version=bundle.version, weights_sha256=beginning.weights_sha256),
        weights_sha256=sha256(output / "models" / "model.pt"),
        datalist_sha256=sha256(work / DATALIST),
        versions=versions(),
    )
    (output / "docs").mkdir(exist_ok=True)
    write_record(record.as_dict(), output / "docs" / RECORD)
    return record


def train_listed(
    bundle: Bundle, dataset: Path, output: Path, resume: bool = False, overrides: Mapping[str, object] | None = None
) -> Path:
    """Run a bundle's ``train.yaml`` on a prepared folder and make a bundle with the best weights, without a record.

    Args:
        bundle: what is trained.
        dataset: folder with ``datalist.json``.
        output: folder of the new bundle.
        resume: whether to go on from the last state.
        overrides: values of ``train.yaml`` to change.

    Returns:
        the path of the new weights.

    Raises:
        InputError: if the bundle or an input cannot be used, TensorBoard is missing, or the training leaves no weights.
    """
    check_start(bundle, from_scratch=True)
    copy_bundle(bundle, output)
    values = {"dataset_dir": str(dataset), "resume": resume, **(overrides or {})}
    run_training(make_workflow(output, ["train.yaml"], values), bundle)
    best = output / TRAIN / "models" / "model.pt"
    if not best.is_file():
        raise InputError(f"{best}: the training left no weights; give it at least one epoch with validation.")
    remember(output)
    return export_weights(best, output / "models")


def _values(bundle: Bundle, work: Path, beginning: Beginning, device: str) -> dict[str, Any]:
    """What the configs need to know of a training."""
    values: dict[str, Any] = {
        "dataset_dir": str(work),
        "resume": any((work / "models").glob("state_checkpoint_*.pt")),
        "seed": beginning.seed,
    }
    if beginning.fine_tuning:
        values["ckpt_path"] = str(bundle.weights)
    if device != "auto":
        values["device"] = f"$torch.device('{choose_device(device)}')"
    rate = _cache_rate(beginning.voxels)
    return {**values, "cache_rate": rate} if rate < 1 else values


def _cache_rate(voxels: int) -> float:
    """The share of the volumes that fits into half of the free memory; 1 where that cannot be told."""
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # Windows, macOS
        return 1.0
    return min(1.0, _MEMORY_SHARE * free / (4 * max(voxels, 1)))


def _keep_weights(bundle: Bundle, models: Path) -> None:
    """Copy the weights that training began with."""
    models.mkdir(parents=True, exist_ok=True)
    shutil.copy2(bundle.weights, models / "model.pt")
    record_sha256(models)


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
