"""The course of a training: what each epoch gave, kept on disk and told to whoever watches."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events

from mri_denoise.errors import InputError
from mri_denoise.io.case import Skip
from mri_denoise.io.files import write_beside


@dataclass(frozen=True, kw_only=True)
class EpochResult:
    """What an epoch gave.

    Args:
        epoch: its number; 0 is the network before training.
        loss: the mean over the epoch's steps; None before training.
        metrics: of the validation by name (``val_psnr`` in dB, ``val_ssim``); empty for an epoch without one.
        seconds: what it took, validation included.
    """

    epoch: int
    loss: float | None
    metrics: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0


class Watcher:
    """Is told how far a training is. This one shows nothing; others override what they show."""

    def start(self, epoch: int, epochs: int, steps: int) -> None:
        """The training begins: epochs done before, epochs in all, steps an epoch."""

    def step(self, epoch: int, loss: float) -> None:
        """A step of an epoch is done."""

    def epoch(self, result: EpochResult) -> None:
        """An epoch is done, or the validation before training."""

    def scan(self, doing: str, number: int, count: int) -> None:
        """A scan was read, or its reference made, as the number says of so many."""

    def skipped(self, skip: Skip) -> None:
        """A scan is left out."""

    def note(self, words: str) -> None:
        """Something about a scan is unusual."""


class Course:
    """Record the results of epochs in a JSON file, across interruptions.

    Args:
        path: the file.
        watcher: is told of everything.
    """

    def __init__(self, path: Path, watcher: Watcher) -> None:
        self.path, self.watcher = path, watcher
        self.results: list[EpochResult] = load_results(path)
        self.key_metric = ""
        self._metrics: dict[str, float] = {}
        self._begun = time.monotonic()

    def attach(self, trainer: Engine, evaluator: Engine) -> None:
        """Follow a trainer and an evaluator of MONAI; after all handlers of theirs are attached."""
        trainer.add_event_handler(Events.STARTED, self._start)
        trainer.add_event_handler(Events.ITERATION_COMPLETED, self._step)
        trainer.add_event_handler(Events.EPOCH_COMPLETED, self._epoch)
        evaluator.add_event_handler(Events.COMPLETED, self._validated, trainer)

    def best(self) -> EpochResult:
        """The validated epoch of the best key metric, the first one if several are.

        Raises:
            InputError: if there was no validation.
        """
        validated = [result for result in self.results if result.metrics]
        if not validated:
            raise InputError(f"{self.path}: no epoch had a validation; give the training one at least.")
        key = self.key_metric or next(iter(validated[0].metrics))
        return max(validated, key=lambda result: result.metrics[key])

    def _start(self, trainer: Engine) -> None:
        self._begun = time.monotonic()
        self.watcher.start(trainer.state.epoch, trainer.state.max_epochs or 0, trainer.state.epoch_length or 0)

    def _step(self, trainer: Engine) -> None:
        self.watcher.step(trainer.state.epoch, _loss(trainer))

    def _validated(self, evaluator: Engine, trainer: Engine) -> None:
        key = str(getattr(evaluator.state, "key_metric_name", ""))
        metrics = {name: float(value) for name, value in evaluator.state.metrics.items()}
        self.key_metric = key
        self._metrics = {name: metrics[name] for name in sorted(metrics, key=lambda name: name != key)}
        if trainer.state.epoch == 0:
            self._add(EpochResult(epoch=0, loss=None, metrics=self._metrics, seconds=self._lap()))

    def _epoch(self, trainer: Engine) -> None:
        loss = float(trainer.state.metrics.get("train_loss", _loss(trainer)))
        self._add(EpochResult(epoch=trainer.state.epoch, loss=loss, metrics=self._metrics, seconds=self._lap()))

    def _add(self, result: EpochResult) -> None:
        self._metrics = {}
        self.results = [*(before for before in self.results if before.epoch < result.epoch), result]
        with write_beside(self.path) as partial:
            partial.write_text(json.dumps([asdict(r) for r in self.results], indent=2) + "\n", encoding="utf-8")
        self.watcher.epoch(result)

    def _lap(self) -> float:
        now = time.monotonic()
        taken, self._begun = now - self._begun, now
        return round(taken, 1)


def load_results(path: Path) -> list[EpochResult]:
    """Read the results of the epochs so far; none if there is no file.

    Raises:
        InputError: if the file holds something else.
    """
    if not path.is_file():
        return []
    try:
        content: Sequence[Any] = json.loads(path.read_text(encoding="utf-8"))
        return [EpochResult(**result) for result in content]
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{path}: not the course of a training; begin anew in another folder.") from error


def _loss(trainer: Engine) -> float:
    output: Any = trainer.state.output
    return float((output[0] if isinstance(output, list) else output)["loss"])
