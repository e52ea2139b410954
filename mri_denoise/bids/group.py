"""The group level: one table of all scans of a data set, with what was done to each."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mri_denoise.bids.files import as_json, write_if_new
from mri_denoise.bids.kinds import SUFFIXES
from mri_denoise.bids.layout import LOGS, Layout
from mri_denoise.bids.scan import Scan
from mri_denoise.bids.state import read_record
from mri_denoise.io.absent import why_absent
from mri_denoise.io.files import natural

TABLE = LOGS / "group.tsv"
_COLUMNS: Mapping[str, str] = {
    "participant_id": "Label of the participant",
    "session_id": "Label of the session",
    "scan": "The source, relative to the raw data set",
    "suffix": "What the image is",
    "status": "done; missing if there is no result; failed if there is none because the source cannot be used",
    "reason": "Why there is no result, as far as it is known",
    "sigma": "Noise level in the unit of the image; of a series the median over its volumes",
    "variation": "95th by 5th percentile of the noise level over the image; of a series the greatest",
    "strength": "From 0 (the source) to 1 (the full result)",
    "model": "Name and version of the model",
    "weights_sha256": "SHA-256 of its weights",
    "seconds": "What reading, denoising and writing took",
    "time": "When it was done (UTC)",
}


@dataclass(frozen=True, kw_only=True)
class Group:
    """What the table of a data set says.

    Args:
        table: the file.
        done: scans that were asked for and have a result.
        missing: those that have none, and whose source is there.
        failed: those that have none because their source cannot be used, with the reason in one line.
        kept: how many rows are of other scans.
    """

    table: Path
    done: Sequence[Scan]
    missing: Sequence[Scan]
    failed: Sequence[tuple[Scan, str]]
    kept: int


def write_group(scans: Sequence[Scan], others: Sequence[Scan], layout: Layout, output: Path) -> Group:
    """Write the table of a data set's scans.

    Args:
        scans: all that should be done; their content need not be here, as only results are looked at.
        others: scans that were not asked for: those that the table names already keep a row, which is made anew.
        layout: of the results.
        output: their folder.

    Raises:
        OutputError: if it cannot be written.
    """
    asked, named = {scan.label for scan in scans}, _named_in(output / TABLE)
    kept = [scan for scan in others if scan.label in named - asked]
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, delimiter="\t", restval="n/a", lineterminator="\n")
    writer.writeheader()
    done: list[Scan] = []
    missing: list[Scan] = []
    failed: list[tuple[Scan, str]] = []
    for scan in sorted([*scans, *kept], key=_place):
        case = layout.case(scan)
        record = read_record(case, output) if (output / case.output).is_file() else None
        why = "" if record is not None else why_absent(scan.path)
        writer.writerow(_row(scan, record, why))
        if scan.label not in asked:
            continue
        if record is not None:
            done.append(scan)
        elif why:
            failed.append((scan, why))
        else:
            missing.append(scan)
    write_if_new(output / TABLE, text.getvalue().encode())
    described = {column: {"Description": words} for column, words in _COLUMNS.items()}
    write_if_new(output / TABLE.with_suffix(".json"), as_json(described))
    return Group(table=output / TABLE, done=done, missing=missing, failed=failed, kept=len(kept))


def _place(scan: Scan) -> tuple[object, ...]:
    """Sorts as the selection does: by participant, session, data type and name."""
    return (
        natural(scan.folder.parent.as_posix()),
        list(SUFFIXES).index(scan.folder.name),
        natural(scan.path.name),
    )


def _named_in(table: Path) -> set[str]:
    """The scans that an earlier table names; none if it cannot be read."""
    try:
        with table.open(encoding="utf-8", newline="") as stream:
            return {row["scan"] for row in csv.DictReader(stream, delimiter="\t")}
    except (OSError, ValueError, KeyError, csv.Error):
        return set()


def _row(scan: Scan, record: Mapping[str, Any] | None, why: str) -> dict[str, Any]:
    entities = scan.name.entities
    row = {
        "participant_id": f"sub-{entities['sub']}",
        "scan": scan.label,
        "suffix": scan.name.suffix,
        "status": "done" if record is not None else "failed" if why else "missing",
    }
    if "ses" in entities:
        row["session_id"] = f"ses-{entities['ses']}"
    if why:
        row["reason"] = why
    if record is None:
        return row
    model = record["model"]
    known: dict[str, Any] = {
        "sigma": _middle(record.get("sigma")),
        "variation": max(record.get("sigma_variation") or [None], default=None),
        "strength": record["settings"].get("strength"),
        "model": f"{model['name']} {model['version']}",
        "weights_sha256": model["weights_sha256"],
        "seconds": record.get("seconds"),
        "time": record.get("time"),
    }
    return row | {name: value for name, value in known.items() if value is not None}


def _middle(levels: Sequence[float] | None) -> float | None:
    """The lower median."""
    return sorted(levels)[(len(levels) - 1) // 2] if levels else None
