"""The page of a group: a table of its scans, with those that differ from the others marked, and small pictures."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mri_denoise.errors import OutputError
from mri_denoise.io.files import natural
from mri_denoise.report.html import number, render, write_page
from mri_denoise.report.outliers import LEAST, LIMIT, robust_z
from mri_denoise.report.summary import Summary, is_page, load_summary

GROUP_PAGE = "mri-denoise-report.html"
_WIDTH, _HEIGHT = 260, 54


@dataclass(frozen=True, kw_only=True)
class _Measure:
    """A column of numbers; ``compared`` if a scan may stand out by it."""

    name: str
    title: str
    digits: int = 3
    compared: bool = True


_MEASURES = (
    _Measure(name="sigma", title="Noise level", digits=4, compared=False),
    _Measure(name="snr_before", title="SNR before"),
    _Measure(name="snr_after", title="SNR after, at least"),
    _Measure(name="ratio", title="Removed, of the noise"),
    _Measure(name="image", title="Correlation with image", digits=2),
    _Measure(name="neighbours", title="Excess correlation of neighbours", digits=2),
    _Measure(name="spot", title="What stands out (SD)"),
)


def write_group_page(pages: Iterable[Path], destination: Path, *, title: str = "Denoised scans") -> list[Summary]:
    """Write the page of a group.

    Args:
        pages: the pages of its scans, which :func:`~mri_denoise.report.scan_page.write_scan_page` wrote.
        destination: the HTML file. An older group page is replaced.
        title: above the table.

    Returns:
        the summaries, in the order of their names.

    Raises:
        InputError: if one of the files is no page of a scan.
        OutputError: if the page cannot be written, or the destination is another file.

    Examples:
        >>> pages = sorted(Path("out").rglob("*_report.html"))  # doctest: +SKIP
        >>> write_group_page(pages, Path("out") / GROUP_PAGE)  # doctest: +SKIP
    """
    if destination.exists() and not is_page(destination):
        raise OutputError(f"{destination}: is another file and is not overwritten; move it away")
    scans = sorted(((load_summary(path), path) for path in pages), key=lambda scan: natural(scan[0].name))
    summaries = [summary for summary, _ in scans]
    kinds = [summary.kind for summary in summaries]
    scores = {m.name: robust_z([getattr(s, m.name) for s in summaries], kinds) for m in _MEASURES if m.compared}
    links = [os.path.relpath(path, destination.parent).replace(os.sep, "/") for _, path in scans]
    labels = _labels([summary.name for summary in summaries], links)
    rows = [
        _row(summary, labels[i], links[i], {name: z[i] for name, z in scores.items()})
        for i, summary in enumerate(summaries)
    ]
    page = render(
        "group.html",
        title=title,
        rows=rows,
        measures=_MEASURES,
        strips=[_strip(m, summaries, scores[m.name]) for m in _MEASURES if m.compared],
        states={state: sum(s.status == state for s in summaries) for state in ("good", "note", "warning")},
        outliers=sum(row["outlier"] for row in rows),
        kinds=sorted(set(kinds)),
        too_few=sorted({kind for kind in kinds if kinds.count(kind) < LEAST}),
        least=LEAST,
        limit=LIMIT,
    )
    write_page(page, destination)
    return summaries


def _labels(names: Sequence[str], links: Sequence[str]) -> list[str]:
    """The names; with the folder of the page where several scans share one."""
    places = [link.rpartition("/")[0] for link in links]
    return [f"{at}/{name}" if names.count(name) > 1 and at else name for name, at in zip(names, places, strict=True)]


def _row(summary: Summary, label: str, link: str, scores: dict[str, float | None]) -> dict[str, Any]:
    cells = []
    for measure in _MEASURES:
        value, score = getattr(summary, measure.name), scores.get(measure.name)
        odd = score is not None and abs(score) > LIMIT
        cells.append({"text": _text(measure, value), "sort": "" if value is None else value, "odd": odd})
        cells[-1]["score"] = f"{score:+.1f}" if odd and score is not None else ""
    return {
        "scan": summary,
        "label": label,
        "link": quote(os.fsencode(link)),
        "cells": cells,
        "outlier": any(cell["odd"] for cell in cells),
    }


def _text(measure: _Measure, value: float | None) -> str:
    return f"{100 * value:.0f} %" if measure.name == "ratio" and value is not None else number(value, measure.digits)


def _strip(measure: _Measure, summaries: Sequence[Summary], scores: Sequence[float | None]) -> dict[str, Any]:
    """One dot a scan along an axis, with the median."""
    found = [(getattr(s, measure.name), s.name, z) for s, z in zip(summaries, scores, strict=True)]
    known = sorted((value, name, z) for value, name, z in found if value is not None)
    low, high = (known[0][0], known[-1][0]) if known else (0.0, 1.0)
    spread = (high - low) or 1.0
    dots = [
        {
            "x": round((_WIDTH - 12) * (value - low) / spread + 6 if high > low else _WIDTH / 2, 1),
            "y": 12 + 9 * (i % 3),
            "name": name,
            "odd": z is not None and abs(z) > LIMIT,
        }
        for i, (value, name, z) in enumerate(known)
    ]
    middle = dots[len(dots) // 2]["x"] if dots else 0
    ends = (_text(measure, low), _text(measure, high))
    text = f"{measure.title}: {len(known)} scans from {ends[0]} to {ends[1]}."
    return {
        "title": measure.title,
        "dots": dots,
        "median": middle,
        "ends": ends,
        "text": text,
        "size": (_WIDTH, _HEIGHT),
    }
