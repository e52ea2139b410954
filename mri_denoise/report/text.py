"""Text files, and rows as CSV and as Markdown."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from mri_denoise.io.files import write_beside


def write_csv(rows: Sequence[Mapping[str, object]], path: Path) -> Path:
    """Write rows as CSV, whole or not at all.

    Args:
        rows: one mapping a row, all with the same keys; None becomes an empty cell.
        path: the file to write; its folder is made.

    Returns:
        the path.

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

    Args:
        text: the content.
        path: the file to write; its folder is made.

    Returns:
        the path.

    Raises:
        OutputError: if it cannot be written.
    """
    with write_beside(path) as partial:
        partial.write_text(text, encoding="utf-8")
    return path


def markdown_table(head: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    """Format a table in Markdown, without a line break at its end.

    Args:
        head: titles of the columns.
        body: cells of each row.

    Examples:
        >>> print(markdown_table(["method", "dB"], [["median", "32.1"]]))
        | method | dB |
        | --- | --- |
        | median | 32.1 |
    """
    lines = [head, ["---"] * len(head), *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def bullets(items: Iterable[str]) -> str:
    """Format a list in Markdown, without a line break at its end."""
    return "\n".join(f"- {item}" for item in items)
