"""The numbers of a scan's page that a group page compares; a page carries its own, so that no other file is needed."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from mri_denoise.errors import InputError
from mri_denoise.io.files import reading

GENERATOR = "mri-denoise report"
_HEAD = 400_000  # characters: the summary stands before the volumes
_SUMMARY = re.compile(r'<script type="application/json" id="summary">(.*?)</script>', re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Summary:
    """A scan in a row of numbers.

    Args:
        name: of the scan.
        kind: by which scans are compared: the suffix of a BIDS name (``T1w``), otherwise empty.
        record: SHA-256 of the run record that the page was made from.
        time: when it was denoised.
        model: name and version.
        sigma: noise level, in the file's unit.
        snr_before: median of the tissue by the noise.
        snr_after: likewise, at least.
        ratio: what was removed by the noise.
        image: correlation of what was removed with the image.
        neighbours: largest correlation of neighbours beyond that of the input's noise.
        spot: height of what stands out most, in standard deviations of smoothed noise.
        status: of all checks of the residual.
        verdict: in one sentence.
        picture: a small one, as data URI.
    """

    name: str
    kind: str
    record: str
    time: str
    model: str
    sigma: float | None
    snr_before: float | None
    snr_after: float | None
    ratio: float | None
    image: float
    neighbours: float
    spot: float
    status: str
    verdict: str
    picture: str

    def as_dict(self) -> dict[str, Any]:
        """Everything in types that JSON knows."""
        return asdict(self)


def is_page(path: Path) -> bool:
    """Whether a file is a page that this package wrote."""
    with reading(path), path.open(encoding="utf-8", errors="replace") as file:
        return f'<meta name="generator" content="{GENERATOR}' in file.read(4000)


def load_summary(path: Path) -> Summary:
    """Read the summary of a scan's page.

    Raises:
        InputError: if the file cannot be read, or is no such page.
    """
    with reading(path), path.open(encoding="utf-8", errors="replace") as file:
        found = _SUMMARY.search(file.read(_HEAD))
    try:
        values = json.loads(found[1]) if found else {}
        summary = Summary(**{field.name: values[field.name] for field in fields(Summary)})
        _check_types(summary)
        return summary
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not the report of a scan; make it again with mri-denoise report") from error


def _check_types(summary: Summary) -> None:
    """TypeError unless a summary from outside holds what its fields are declared to hold."""
    texts = [getattr(summary, name) for name in ("name", "kind", "record", "time", "model", "verdict", "picture")]
    numbers = [getattr(summary, name) for name in ("image", "neighbours", "spot")]
    numbers += [
        n for name in ("sigma", "snr_before", "snr_after", "ratio") if (n := getattr(summary, name)) is not None
    ]
    known = summary.status in ("good", "note", "warning")
    if not known or not all(isinstance(t, str) for t in texts) or not all(isinstance(n, int | float) for n in numbers):
        raise TypeError("a field is of another type")
