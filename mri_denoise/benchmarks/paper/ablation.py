"""Train the paper's four networks (Table 4) and its rival alike, from scratch, through the bundle's own config."""

from __future__ import annotations

import gc
import json
import math
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import yaml
from ignite.engine import Events
from monai.data import CacheDataset
from monai.engines import Trainer
from tqdm import tqdm

from mri_denoise import record as provenance
from mri_denoise.bundles.registry import Bundle, find_bundle
from mri_denoise.bundles.weights import SUMS, sha256
from mri_denoise.io.files import write_beside
from mri_denoise.runtime import quiet
from mri_denoise.training.train import train_bundle

STEPS_AN_EPOCH = 250  # the state of training is saved as often
OVERLAY = "variant.yaml"
HERE = "mri_denoise.benchmarks.paper.ablation"


@dataclass(frozen=True)
class Variant:
    """One network of the comparison.

    Args:
        name: short name.
        label: as in tables.
        overrides: of ``train.yaml``.
    """

    name: str
    label: str
    overrides: dict[str, Any] = field(default_factory=dict)


def _switches(attention: bool, residual: bool) -> dict[str, Any]:
    return {"network_def#attention": attention, "network_def#residual": residual}


FULL = Variant("attention_residual", "U-Net + attention + residual", _switches(True, True))
ABLATION = (
    Variant("unet", "U-Net", _switches(False, False)),
    Variant("residual", "U-Net + residual", _switches(False, True)),
    Variant("attention", "U-Net + attention", _switches(True, False)),
    FULL,
)


def dncnn(bundle: Bundle) -> Variant:
    """DnCNN in the place of HMAD-Net, by the bundle's ``configs/dncnn.yaml``."""
    config = yaml.safe_load(bundle.config("dncnn.yaml").read_text(encoding="utf-8"))
    return Variant("dncnn", "DnCNN", {"network_def": config["network_def"]})


@dataclass(frozen=True)
class Training:
    """What all runs have in common.

    Args:
        bundle: whose ``train.yaml`` is run.
        dataset: folder with ``datalist.json``.
        folder: where the runs go, a folder each.
        steps: of the optimiser; rounded up to whole epochs of at most 250 steps.
        overrides: further values of ``train.yaml``, the same for all runs.
        progress: whether a bar is shown.
        on_start: called with its title when a run begins or goes on.
    """

    bundle: Bundle
    dataset: Path
    folder: Path
    steps: int
    overrides: dict[str, Any] = field(default_factory=dict)
    progress: bool = False
    on_start: Callable[[str], None] = lambda title: None

    @property
    def epochs(self) -> int:
        """How often the state is saved."""
        return max(math.ceil(self.steps / STEPS_AN_EPOCH), 1)

    @property
    def epoch_length(self) -> int:
        """Steps between two savings."""
        return math.ceil(self.steps / self.epochs)


def train_variant(training: Training, variant: Variant, seed: int) -> Bundle:
    """The weights of one network trained from scratch, from the folder if they are there already.

    A run that was stopped goes on from its last saved state, with random numbers of their own; one of other settings is
    begun anew.

    Args:
        training: what all runs have in common.
        variant: the network.
        seed: of the initial weights and the training samples.

    Returns:
        the bundle that was made; :data:`OVERLAY` on top of its ``inference.yaml`` makes that fit the network.

    Raises:
        InputError: if the training leaves no weights.
    """
    folder = training.folder / f"{variant.name}_seed{seed}"
    settings = _settings(training, variant, seed)
    if _recorded(folder / "settings.json") != settings:
        shutil.rmtree(folder, ignore_errors=True)
        with write_beside(folder / "configs" / OVERLAY) as partial:
            network = {key: value for key, value in settings["overrides"].items() if key.startswith("network_def")}
            partial.write_text(yaml.safe_dump(network, sort_keys=False), encoding="utf-8")
        provenance.write_record(settings, folder / "settings.json")
    if (folder / "models" / SUMS).is_file():  # written last
        return find_bundle(str(folder))
    states = list((folder / "train" / "models").glob("state_checkpoint_epoch=*.pt"))
    title = f"training {variant.label}, seed {seed}"
    training.on_start(title)
    done = max((int(path.stem.partition("=")[2]) for path in states), default=0)
    overrides = {
        **settings["overrides"],
        # a run that goes on would otherwise see its first samples again
        "seed": seed + 1000 * done,
        "train#dataset#_target_": f"{HERE}.SharedCacheDataset",
        "run": [
            {
                "_target_": f"{HERE}.run_with_bar",
                "trainer": "@train#trainer",
                "title": title,
                "progress": training.progress,
            }
        ],
    }
    with quiet():
        train_bundle(training.bundle, training.dataset, folder, resume=bool(states), overrides=overrides)
    shutil.rmtree(folder / "train" / "models")
    gc.collect()  # engines refer to themselves and would keep their worker processes
    return find_bundle(str(folder))


def _settings(training: Training, variant: Variant, seed: int) -> dict[str, Any]:
    """All that a run's weights depend on."""
    overrides = {
        **training.overrides,
        **variant.overrides,
        "max_epochs": training.epochs,
        "epoch_length": training.epoch_length,
        "val_interval": training.epochs,
        # one image, so that the last weights are saved: nothing is chosen by it
        "validate#data": "$[dict(d, image=os.path.join(@dataset_dir, d['image']), density=@densities[0])"
        " for d in @datalists['validation'][:1]]",
    }
    return {
        "variant": variant.name,
        "seed": seed,
        "overrides": overrides,
        "config_sha256": sha256(training.bundle.config("train.yaml")),
        "datalist_sha256": sha256(training.dataset / "datalist.json"),
    }


def _recorded(path: Path) -> dict[str, Any] | None:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def run_with_bar(trainer: Trainer, title: str, progress: bool) -> None:
    """Run a trainer with its steps on a bar.

    Args:
        trainer: ready to run; one that resumes starts the bar where it stands.
        title: before the bar.
        progress: whether it is shown.
    """
    total = trainer.state.max_epochs * trainer.state.epoch_length
    with tqdm(total=total, desc=title, unit="step", disable=not progress, file=sys.stderr, leave=False) as bar:

        def step() -> None:
            bar.update(trainer.state.iteration - bar.n)

        trainer.add_event_handler(Events.ITERATION_COMPLETED, step)
        trainer.run()


class SharedCacheDataset(CacheDataset):
    """MONAI's ``CacheDataset`` that loads the same volumes once for all the runs of this process."""

    _loaded: ClassVar[dict[str, list[Any]]] = {}

    def _fill_cache(self, indices: Sequence[int] | None = None) -> list[Any]:
        key = json.dumps([list(indices or ()), self.data], default=str)
        if key not in self._loaded:
            self._loaded.clear()
            self._loaded[key] = super()._fill_cache(indices)
        return self._loaded[key]
