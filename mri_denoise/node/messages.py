"""What the worker and the denoising process say to each other, a line of JSON each."""

from __future__ import annotations

from dataclasses import dataclass

from mri_denoise.node.records import Skipped
from mri_denoise.node.settings import Rule


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the worker asks of the denoising process.

    Args:
        series: Series Instance UID, the name of a folder in ``working``.
        rule: how to denoise it.
    """

    series: str
    rule: Rule


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the denoising process did with a series.

    Args:
        done: how many volumes it denoised.
        failed: one line for each that it could not denoise.
        unwritten: why a result could not be written, as where the disk is full, in one line; it may be later.
        skipped: files that it left alone.
    """

    done: int
    failed: tuple[str, ...] = ()
    unwritten: str | None = None
    skipped: tuple[Skipped, ...] = ()
