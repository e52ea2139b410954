"""A run that somebody watches: a bar, and a line for each image."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mri_denoise.cli import common
from mri_denoise.io.case import Case
from mri_denoise.runtime import ToldToEnd

if TYPE_CHECKING:  # the command line answers faster without
    from mri_denoise.pipeline.outcome import Listener, Outcome
    from mri_denoise.record import RunRecord


@dataclass(frozen=True, kw_only=True)
class Watched:
    """What became of a run.

    Args:
        outcomes: of the images that ended.
        interrupted: the exit code of a run that was told to end (Ctrl-C, SIGTERM); 0 of one that came to its end.
    """

    outcomes: list[Outcome]
    interrupted: int = 0


def watch(run: Callable[[Listener], list[Outcome]], count: int, folder: Path, *, quiet: bool, again: bool) -> Watched:
    """Run with a bar and a line for each image; ends with code 2 if the bundle cannot be run.

    A run that is told to end leaves nothing half-written; what it has done is told, as otherwise.

    Args:
        run: takes what is called while it goes on.
        count: how many images.
        folder: where the results go.
        quiet: whether the lines are left out.
        again: whether results that exist are made again (``--overwrite``).
    """
    from mri_denoise.pipeline.outcome import Listener

    watched, single = common.interactive(), count == 1
    ended: list[Outcome] = []
    with common.counting_bar(shown=not single) as bar:
        task = bar.add_task("denoising", total=count)

        def report(outcome: Outcome) -> None:
            ended.append(outcome)
            if outcome.record is not None and not quiet:
                bar.console.print(_line(outcome.case, outcome.record, folder))

        listener = Listener(
            report=report,
            advance=lambda: bar.advance(task),
            note=lambda line: bar.console.print(f"note {line}"),
            slices=watched and single,
        )
        try:
            with common.one_line_errors(common.WRONG_USAGE):
                return Watched(outcomes=run(listener))
        except KeyboardInterrupt:
            code = 128 + signal.SIGINT
        except ToldToEnd as told:
            code = int(told.code or common.SOME_FAILED)
    without = " without --overwrite" if again else ""
    common.messages.print(f"interrupted after {len(ended)} of {count}; the same command{without} goes on.")
    return Watched(outcomes=ended, interrupted=code)


def _line(case: Case, record: RunRecord, folder: Path) -> str:
    """What was done to a case, in one line."""
    level = ", ".join(f"{sigma:.4g}" for sigma in (record.sigma or [])[:3])
    more = " ..." if len(record.sigma or []) > 3 else ""
    noise = f"  sigma {level}{more}" if level else ""
    if record.changed and not any(record.changed):
        noise += f" ({_why_kept(record)}: left as it was)"
    if record.zero and any(record.zero):
        noise += f", counted from {record.zero[0]:.4g}"
    if back := sum(record.returned or []):
        noise += f", {back} voxel{'s' * (back > 1)} given back"
    if record.cautions:
        noise += f"  (caution: {', '.join(record.cautions)})"
    return f"{case.label} -> {folder / case.output}{noise}  {record.seconds:.1f} s"


def _why_kept(record: RunRecord) -> str:
    """Why no voxel of an image changed."""
    if record.settings.get("strength") == 0:
        return "strength 0"
    if not record.sigma or any(record.sigma):
        return "nothing was removed, or too few voxels for it"
    found = record.settings.get("sigma") in ("auto", "map")
    return "no noise found, or too few voxels to find it" if found else "as given"
