"""Train the paper's four networks (Table 4) and DnCNN alike, from scratch, through the config of the bundle."""

from __future__ import annotations

import gc
import json
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import yaml
from ignite.engine import Events
from monai.engines import Trainer

from mri_denoise.benchmarks.cache import read_json
from mri_denoise.benchmarks.progress import SILENT, Progress, Step
from mri_denoise.bundles.registry import Bundle, find_bundle
from mri_denoise.bundles.weights import SUMS, sha256
from mri_denoise.io.files import write_beside
from mri_denoise.record import write_record
from mri_denoise.runtime import quiet
from mri_denoise.training.draws import DrawnDataset
from mri_denoise.training.scans import DATALIST
from mri_denoise.training.train import train_listed

STEPS_AN_EPOCH = 250  # the state of a training is saved once an epoch
OVERLAY = "variant.yaml"


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One network of the comparison.

    Args:
        name: short name.
        label: name in tables.
        overrides: values of ``train.yaml`` to change.
    """

    name: str
    label: str
    overrides: Mapping[str, object] = field(default_factory=dict)


def _hmad(name: str, label: str, *, attention: bool, residual: bool) -> Variant:
    switches = {"network_def#attention": attention, "network_def#residual": residual}
    return Variant(name=name, label=label, overrides=switches)


FULL = _hmad("attention_residual", "U-Net + attention + residual", attention=True, residual=True)
ABLATION = (
    _hmad("unet", "U-Net", attention=False, residual=False),
    _hmad("residual", "U-Net + residual", attention=False, residual=True),
    _hmad("attention", "U-Net + attention", attention=True, residual=False),
    FULL,
)


def dncnn(bundle: Bundle) -> Variant:
    """DnCNN in the place of HMAD-Net, as ``configs/dncnn.yaml`` of the bundle defines it."""
    config = yaml.safe_load(bundle.config("dncnn.yaml").read_text(encoding="utf-8"))
    return Variant(name="dncnn", label="DnCNN", overrides={"network_def": config["network_def"]})


@dataclass(frozen=True, kw_only=True)
class Training:
    """What all trainings have in common.

    Args:
        bundle: whose ``train.yaml`` is run.
        dataset: folder with ``datalist.json``.
        folder: of the trainings, which have a folder each.
        steps: of the optimiser; rounded up to whole epochs of at most 250 steps.
        overrides: values of ``train.yaml`` to change, the same for all trainings.
    """

    bundle: Bundle
    dataset: Path
    folder: Path
    steps: int
    overrides: Mapping[str, object] = field(default_factory=dict)

    @property
    def epochs(self) -> int:
        """How many times the state is saved."""
        return max(math.ceil(self.steps / STEPS_AN_EPOCH), 1)

    @property
    def epoch_length(self) -> int:
        """Number of steps between two saved states."""
        return math.ceil(self.steps / self.epochs)


def train_variant(training: Training, variant: Variant, seed: int, progress: Progress = SILENT) -> Bundle:
    """Train a network from scratch, or take its weights from the folder if they are there.

    A training that was stopped continues from its last saved state. One with other settings
    starts again.

    Args:
        training: what all trainings have in common.
        variant: the network.
        seed: of the initial weights and of the training samples.
        progress: shows the steps.

    Returns:
        the bundle with the weights; :data:`OVERLAY` on top of its ``inference.yaml`` describes the network.

    Raises:
        InputError: if the training leaves no weights.
    """
    folder = training.folder / f"{variant.name}_seed{seed}"
    settings = _settings(training, variant, seed)
    if read_json(folder / "settings.json") != settings:
        shutil.rmtree(folder, ignore_errors=True)
        with write_beside(folder / "configs" / OVERLAY) as partial_file:
            network = {key: value for key, value in settings["overrides"].items() if key.startswith("network_def")}
            partial_file.write_text(yaml.safe_dump(network, sort_keys=False), encoding="utf-8")
        write_record(settings, folder / "settings.json")
    if (folder / "models" / SUMS).is_file():  # written last
        return find_bundle(str(folder))
    states = list((folder / "train" / "models").glob("state_checkpoint_epoch=*.pt"))
    with progress.stage(f"training {variant.label}, seed {seed}", training.epochs * training.epoch_length) as step:
        overrides = {
            **settings["overrides"],
            "seed": seed,
            "train#dataset#_target_": SharedCacheDataset,
            "run": [{"_target_": partial(run_counted, step=step), "trainer": "@train#trainer"}],
        }
        with quiet():
            train_listed(training.bundle, training.dataset, folder, resume=bool(states), overrides=overrides)
    shutil.rmtree(folder / "train" / "models")
    gc.collect()  # engines refer to themselves and would keep their worker processes
    return find_bundle(str(folder))


def _settings(training: Training, variant: Variant, seed: int) -> dict[str, Any]:
    """All that the weights depend on."""
    overrides = {
        **training.overrides,
        **variant.overrides,
        "max_epochs": training.epochs,
        "epoch_length": training.epoch_length,
        "val_interval": training.epochs,
        # one image, so that the last weights are saved: it selects nothing
        "validate#data": "$[dict(d, image=os.path.join(@dataset_dir, d['image']), density=@densities[0])"
        " for d in @datalists['validation'][:1]]",
    }
    return {
        "variant": variant.name,
        "seed": seed,
        "overrides": overrides,
        "config_sha256": sha256(training.bundle.config("train.yaml")),
        "datalist_sha256": sha256(training.dataset / DATALIST),
    }


def run_counted(trainer: Trainer, step: Step) -> None:
    """Run a trainer and count its steps; those that a saved state has behind it are counted with the first one."""
    done = 0

    def count() -> None:
        nonlocal done
        step(trainer.state.iteration - done)
        done = trainer.state.iteration

    trainer.add_event_handler(Events.ITERATION_COMPLETED, count)
    trainer.run()


class SharedCacheDataset(DrawnDataset):
    """A dataset that loads the same volumes once for all trainings of this process."""

    _loaded: ClassVar[dict[str, list[Any]]] = {}

    def _fill_cache(self, indices: Sequence[int] | None = None) -> list[Any]:
        key = json.dumps([list(indices or ()), self.data], default=str)
        if key not in self._loaded:
            self._loaded.clear()
            self._loaded[key] = super()._fill_cache(indices)
        return self._loaded[key]
