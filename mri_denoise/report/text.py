"""Texts, and rows as CSV and as Markdown."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from mri_denoise.io.files import write_beside


def write_csv(rows: Sequence[dict[str, Any]], path: Path) -> Path:
    """Write rows of equal keys as CSV, whole or not at all.

    Raises:
        OutputError: if it cannot be written.
    """
    with write_beside(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]) if rows else [], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_text(text: str, path: Path) -> Path:
    """Write a text in UTF-8, whole or not at all.

    Raises:
        OutputError: if it cannot be written.
    """
    with write_beside(path) as partial:
        partial.write_text(text, encoding="utf-8")
    return path


def markdown_table(head: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    """A table in Markdown, without a line break at its end."""
    lines = [head, ["---"] * len(head), *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
