"""How a training of a user's own begins: a bundle without weights, the list of scans, and cleaner references."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mri_denoise.bundles.registry import Bundle
from mri_denoise.bundles.weights import sha256
from mri_denoise.errors import InputError
from mri_denoise.io.files import folder_beside
from mri_denoise.io.own_results import RECORD_ENDING
from mri_denoise.training.course import Watcher
from mri_denoise.training.references import WEIGHT, make_reference
from mri_denoise.training.scans import DATALIST, Candidate, TrainingScans, gather, write_datalist

TRAIN = "train"
_BEGINNING = "beginning.json"


@dataclass(frozen=True, kw_only=True)
class Beginning:
    """What stays the same when a training is interrupted and goes on.

    Args:
        source: where the scans came from.
        fine_tuning: whether it begins with the bundle's weights.
        configs: of the bundle, merged in this order.
        seed: of the split and of everything random.
        weights_sha256: of the weights that it begins with; empty from scratch.
        datalist_sha256: of the list of scans.
        voxels: of all training volumes together.
    """

    source: str
    fine_tuning: bool
    configs: tuple[str, ...]
    seed: int
    weights_sha256: str
    datalist_sha256: str
    voxels: int


def check_start(bundle: Bundle, *, from_scratch: bool) -> tuple[str, ...]:
    """Say which configs a training merges.

    Args:
        bundle: what is trained.
        from_scratch: whether it begins with random weights.

    Raises:
        InputError: if the bundle cannot be trained like that, or TensorBoard is missing.
    """
    configs = ("train.yaml",) if from_scratch else ("train.yaml", "finetune.yaml")
    for name in configs:
        if not bundle.config(name).is_file():
            hint = "" if from_scratch or name == "train.yaml" else "; add --from-scratch"
            raise InputError(f"model {bundle.name}: has no {name}{hint or '; choose another model'}.")
    if not from_scratch and not bundle.weights.is_file():
        raise InputError(f"model {bundle.name}: has no weights to begin with; add --from-scratch.")
    for name in configs:
        if "TensorBoard" in bundle.config(name).read_text(encoding="utf-8") and find_spec("tensorboard") is None:
            config = bundle.config(name)
            raise InputError(f"{config}: needs TensorBoard; run: python -m pip install 'mri-denoise[train]'.")
    return configs


def check_overrides(bundle: Bundle, configs: Sequence[str], keys: Iterable[str]) -> None:
    """See whether configs have the values that a user changes: one with a typing error would change nothing.

    Args:
        bundle: what is trained.
        configs: names of its configs.
        keys: of the values; those of an object may be new, as ``optimizer#weight_decay``.

    Raises:
        InputError: if they lack one.
    """
    from monai.bundle import ConfigParser

    parser = ConfigParser(ConfigParser.load_config_files([str(bundle.config(name)) for name in configs]))
    for key in keys:
        parent = key.replace("::", "#").rpartition("#")[0]
        if (parent or key) not in parser:
            raise InputError(f"--set {key}: no such value in {' or '.join(configs)}; check its name.")


def begin(
    bundle: Bundle,
    candidates: Sequence[Candidate],
    output: Path,
    source: Path,
    watcher: Watcher,
    *,
    from_scratch: bool = False,
    references: bool = True,
    seed: int = 0,
) -> tuple[Beginning, TrainingScans]:
    """Make the folder of a training; it appears whole or not at all.

    References are the training volumes, denoised once by the bundle at 1.5 times their estimated noise, and drawn three
    times as often as the volumes themselves (:mod:`mri_denoise.training.references`).

    Args:
        bundle: what is trained.
        candidates: the images that it may be trained on.
        output: folder of the new bundle, absent or empty.
        source: where the scans came from, for the record.
        watcher: is told of each scan.
        from_scratch: begin with random weights.
        references: make references, if the bundle has weights and knows noise levels.
        seed: of the split and of everything random.

    Returns:
        how it began, and the scans.

    Raises:
        InputError: if the bundle cannot be trained like that, the scans do not suffice, or something cannot be written.
    """
    configs = check_start(bundle, from_scratch=from_scratch)
    with folder_beside(output) as partial:
        work = partial / TRAIN
        work.mkdir()
        scans = gather(candidates, work, seed, watcher)
        copy_bundle(bundle, partial)
        if references and bundle.weights.is_file() and "sigma" in bundle.options:
            scans = _with_references(scans, bundle, work, watcher)
        beginning = Beginning(
            source=str(source),
            fine_tuning=not from_scratch,
            configs=configs,
            seed=seed,
            weights_sha256="" if from_scratch else sha256(bundle.weights),
            datalist_sha256=sha256(write_datalist(scans, work, source=str(source), seed=seed)),
            voxels=scans.voxels,
        )
        (work / _BEGINNING).write_text(json.dumps(asdict(beginning), indent=2) + "\n", encoding="utf-8")
        if output.exists():
            output.rmdir()
        os.replace(partial, output)
    return beginning, scans


def copy_bundle(bundle: Bundle, output: Path) -> None:
    """Copy a bundle without the weights of its network: configs, docs, licence, and its other networks.

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
    others = [path for path in bundle.weights.parent.glob("*.pt") if path != bundle.weights]
    for path in others:
        (output / "models").mkdir(exist_ok=True)
        shutil.copy2(path, output / "models" / path.name)


def load_beginning(output: Path, bundle: Bundle) -> Beginning:
    """Read how a training began, to go on with it.

    Args:
        output: its folder.
        bundle: what is trained.

    Raises:
        InputError: if there is no training, it began with other weights, or a scan has changed or is gone.
    """
    path = output / TRAIN / _BEGINNING
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        beginning = Beginning(**{**content, "configs": tuple(content["configs"])})
        lists = json.loads((output / TRAIN / DATALIST).read_text(encoding="utf-8"))
        entries = [*lists["training"], *lists["validation"]]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"{output}: holds no training to go on with; leave out --resume.") from error
    check_start(bundle, from_scratch=not beginning.fine_tuning)
    if beginning.fine_tuning and (not bundle.weights.is_file() or sha256(bundle.weights) != beginning.weights_sha256):
        raise InputError(f"{output}: began with other weights than those of {bundle.folder}; name its --model.")
    for entry in entries:
        _check(output / TRAIN / entry["image"], entry["sha256"])
    return beginning


def _check(image: Path, digest: str) -> None:
    if not image.is_file():
        raise InputError(f"{image}: is gone since the training began; put it back, or begin anew.")
    if sha256(image) != digest:
        raise InputError(f"{image}: has changed since the training began; put it back, or begin anew.")


def _with_references(scans: TrainingScans, bundle: Bundle, work: Path, watcher: Watcher) -> TrainingScans:
    """Add a reference for each training volume."""
    from mri_denoise.denoiser import Denoiser

    denoiser = Denoiser(bundle)
    listed: list[Mapping[str, Any]] = []
    training = scans.lists["training"]
    for number, entry in enumerate(training):
        target = work / "references" / f"{number:04d}.nii.gz"
        make_reference(work / entry["image"], target, denoiser)
        target.with_name(f"{number:04d}{RECORD_ENDING}").unlink(missing_ok=True)  # it names a folder of the moment
        image = target.relative_to(work).as_posix()
        listed.append({**entry, "image": image, "sha256": sha256(target), "weight": WEIGHT})
        watcher.scan("making references", number + 1, len(training))
    lists = {**scans.lists, "training": [*({**entry, "weight": 1.0} for entry in training), *listed]}
    return replace(scans, lists=lists, voxels=2 * scans.voxels)
