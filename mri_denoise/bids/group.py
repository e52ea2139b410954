"""The group level: one table of all scans of a data set, with what was done to each."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mri_denoise.bids.files import as_json, write_if_new
from mri_denoise.bids.layout import LOGS, Layout
from mri_denoise.bids.scan import Scan
from mri_denoise.bids.state import read_record

TABLE = LOGS / "group.tsv"
_COLUMNS: Mapping[str, str] = {
    "participant_id": "Label of the participant",
    "session_id": "Label of the session",
    "scan": "The source, relative to the raw data set",
    "suffix": "What the image is",
    "status": "done, or missing if there is no result",
    "sigma": "Noise level in the unit of the image; of a series the median over its volumes",
    "variation": "Highest by lowest noise level over the image; of a series the greatest",
    "strength": "From 0 (the source) to 1 (the full result)",
    "model": "Name and version of the model",
    "weights_sha256": "SHA-256 of its weights",
    "seconds": "What reading, denoising and writing took",
    "time": "When it was done (UTC)",
}


def write_group(scans: Sequence[Scan], layout: Layout, output: Path) -> tuple[Path, list[Scan]]:
    """Write the table of a data set's scans.

    Args:
        scans: all that should be done.
        layout: of the results.
        output: their folder.

    Returns:
        the table, and the scans that have no result.

    Raises:
        OutputError: if it cannot be written.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, delimiter="\t", restval="n/a", lineterminator="\n")
    writer.writeheader()
    missing: list[Scan] = []
    for scan in scans:
        case = layout.case(scan)
        record = read_record(case, output) if (output / case.output).is_file() else None
        writer.writerow(_row(scan, record))
        if record is None:
            missing.append(scan)
    write_if_new(output / TABLE, text.getvalue().encode())
    described = {column: {"Description": words} for column, words in _COLUMNS.items()}
    write_if_new(output / TABLE.with_suffix(".json"), as_json(described))
    return output / TABLE, missing


def _row(scan: Scan, record: Mapping[str, Any] | None) -> dict[str, Any]:
    entities = scan.name.entities
    row = {
        "participant_id": f"sub-{entities['sub']}",
        "scan": scan.label,
        "suffix": scan.name.suffix,
        "status": "missing" if record is None else "done",
    }
    if "ses" in entities:
        row["session_id"] = f"ses-{entities['ses']}"
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
