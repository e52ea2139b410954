"""How a training shows how far it is: a bar, and a line for each epoch."""

from __future__ import annotations

from collections.abc import Mapping

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from mri_denoise.cli import common
from mri_denoise.io.case import Skip
from mri_denoise.training.course import EpochResult, Watcher


class TrainingBar(Watcher):
    """Watches a training and shows it on standard error.

    The bar is there if somebody watches; each epoch gives a line in any case.
    """

    def __init__(self) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(bar_width=12))
        self._bar = Progress(
            *columns,
            TimeRemainingColumn(),
            console=common.messages,
            disable=not common.interactive(),
            transient=True,
        )
        self._task = self._bar.add_task("", total=None, visible=False)
        self._doing = ""
        self._epochs, self._done, self._steps = 0, 0, 1
        self._validation = ""

    def __enter__(self) -> TrainingBar:
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def start(self, epoch: int, epochs: int, steps: int) -> None:
        """Show the bar of all epochs."""
        self._doing, self._epochs, self._steps = "training", epochs, steps
        self._done = epoch * steps
        self._bar.reset(self._task, total=epochs * steps, visible=True, description="training")
        self._bar.update(self._task, completed=self._done)

    def step(self, epoch: int, loss: float) -> None:
        """Show the loss of a step."""
        words = f"epoch {epoch}/{self._epochs}  loss {loss:.4f}{self._validation}"
        self._bar.update(self._task, advance=1, description=words)

    def epoch(self, result: EpochResult) -> None:
        """Print the line of an epoch."""
        what = f"epoch {result.epoch}/{self._epochs}" if result.epoch else "before training"
        loss = "" if result.loss is None else f"  loss {result.loss:.4f}"
        if result.metrics:
            self._validation = f"  validation {in_words(result.metrics)}"
        validation = self._validation if result.metrics else ""
        common.messages.print(f"{what}{loss}{validation}  {result.seconds:.0f} s")

    def scan(self, doing: str, number: int, count: int) -> None:
        """Count scans on the bar."""
        if doing != self._doing:
            self._doing = doing
            self._bar.reset(self._task, total=count, visible=True, description=doing)
        self._bar.update(self._task, completed=number, description=f"{doing} {number}/{count}")

    def skipped(self, skip: Skip) -> None:
        """Print why a scan is left out."""
        common.say_skips([skip])

    def note(self, words: str) -> None:
        """Print what is unusual about a scan."""
        common.messages.print(f"note {words}")


def in_words(metrics: Mapping[str, float]) -> str:
    """PSNR and SSIM of a validation where they are known, otherwise all metrics."""
    known = {"val_psnr": "PSNR {:.2f} dB", "val_ssim": "SSIM {:.4f}"}
    said = [words.format(metrics[name]) for name, words in known.items() if name in metrics]
    return ", ".join(said or [f"{name} {value:.4g}" for name, value in metrics.items()])
