"""The HTML pages of a run: those that are missing, and that of all scans."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mri_denoise.cli import common
from mri_denoise.errors import InputError


def write_pages(records: Sequence[Path], folder: Path, *, group: bool) -> list[tuple[str, str]]:
    """Write the pages of scans that were denoised before, and the page of all.

    Args:
        records: run records of scans whose page may be missing.
        folder: of the results.
        group: whether there is a page of all.

    Returns:
        what could not be written: label, and why in one line.
    """
    from mri_denoise.report.folder import report_record, write_folder_page

    with common.busy("writing pages"):
        failed = [(str(made.record), made.error) for path in records if (made := report_record(path)).error]
        try:
            if group:
                write_folder_page(folder)
        except InputError as error:
            failed.append((str(folder), str(error)))
    return failed
