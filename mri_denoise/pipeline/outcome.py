"""What becomes of cases, and who hears of it; imports no torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mri_denoise.io.case import Case
from mri_denoise.record import RunRecord


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a case.

    Args:
        case: which one.
        record: its run record, if it was done.
        error: why it failed, in one line, if it failed.
        unwritten: whether it failed because its result could not be written, which may be otherwise later.
    """

    case: Case
    record: RunRecord | None = None
    error: str | None = None
    unwritten: bool = False


Report = Callable[[Outcome], None]


@dataclass(frozen=True, kw_only=True)
class Listener:
    """What is called while a run goes on, one at a time, perhaps from another thread than the caller's.

    Args:
        report: after each case with its outcome, in the order of the cases.
        advance: when a case ends, in whatever order.
        note: with a line that a user should know.
        slices: whether the slices of each case are counted on a bar.
    """

    report: Report = lambda outcome: None
    advance: Callable[[], None] = lambda: None
    note: Callable[[str], None] = lambda line: None
    slices: bool = False
