"""What is decided about a series: ``job.json`` in its folder."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """A received file that was not denoised.

    Args:
        file: its name in the series folder's ``source``.
        reason: why, in one line.
        damaged: whether it should have been an image but is not whole.
    """

    file: str
    reason: str
    damaged: bool = False


@dataclass(frozen=True, kw_only=True)
class Job:
    """What was decided about a series, and why: ``job.json`` in its folder.

    Args:
        rule: number of the rule that holds, from 0 on; None for the defaults.
        images: how many were received.
        skipped: those that were not denoised.
        send: files to send, relative to the series folder.
        failed: why the series failed, one line each.
        crashes: how often the denoising process ended while it had the series.
        error: why the last attempt to send did not succeed.
        unsent_since: when it was first tried to send, in seconds since 1970.
    """

    rule: int | None = None
    images: int = 0
    skipped: tuple[Skipped, ...] = ()
    send: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    crashes: int = 0
    error: str | None = None
    unsent_since: float | None = None
