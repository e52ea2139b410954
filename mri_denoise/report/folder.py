"""The reports of a folder: every run record below it, a page each, and a page of them all."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mri_denoise.errors import InputError, OutputError, find_error, reason
from mri_denoise.io.own_results import RECORD_ENDING
from mri_denoise.record import load_record
from mri_denoise.report.group_page import GROUP_PAGE, write_group_page
from mri_denoise.report.scan_page import record_hash, write_scan_page
from mri_denoise.report.summary import load_summary

PAGE = "_report.html"
_LOGS, _DESCRIPTION = "logs", "dataset_description.json"  # a BIDS derivative keeps its records in logs/


@dataclass(frozen=True, kw_only=True)
class Reported:
    """What became of a record.

    Args:
        record: the file.
        page: of its scan; None if there is none.
        made: whether this run wrote it; a page that is current is kept.
        error: why there is no page, in one line.
    """

    record: Path
    page: Path | None = None
    made: bool = False
    error: str = ""


def find_records(folder: Path) -> list[Path]:
    """Find the run records below a folder, without hidden folders: ``*.mri-denoise.json``, and any in ``logs``.

    Those of noisy copies, which ``mri-denoise simulate`` makes, are none.
    """
    found = {path for path in folder.rglob(f"*{RECORD_ENDING}") if path.is_file() and not _is_of_a_copy(path)}
    found |= {path for path in folder.rglob(f"{_LOGS}/**/*.json") if path.is_file() and _is_record(path)}
    visible = [path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts)]
    return sorted(visible)


def page_of(record: Path) -> Path:
    """The page of a record: ``sub-01_T1w_report.html`` beside ``sub-01_T1w.mri-denoise.json``."""
    stem = record.name.removesuffix(RECORD_ENDING) if record.name.endswith(RECORD_ENDING) else record.stem
    return record.with_name(f"{stem}{PAGE}")


def report_record(path: Path, *, overwrite: bool = False) -> Reported:
    """Write the page of a record, unless there is one that is current.

    Args:
        path: of the record.
        overwrite: write it even where there is a file of that name.
    """
    page = page_of(path)
    try:
        record = load_record(path)
        if page.exists() and not overwrite:
            if _is_current(page, record_hash(record)):
                return Reported(record=path, page=page)
            raise OutputError(f"{page}: exists and is not of this run; use --overwrite to replace it.")
        write_scan_page(record, path.parent, page)
    except Exception as error:
        unexpected = f"{path}: no report can be made ({reason(error)}); this is a bug, please report it."
        return Reported(record=path, error=str(find_error(error) or unexpected))
    return Reported(record=path, page=page, made=True)


def report_folder(
    folder: Path,
    records: Sequence[Path],
    *,
    overwrite: bool = False,
    report: Callable[[Reported], None] = lambda reported: None,
) -> tuple[list[Reported], Path | None]:
    """Write the pages of records, and the page of their group.

    Args:
        folder: where the group's page goes; of a BIDS derivative into its ``logs/``.
        records: of :func:`find_records`.
        overwrite: replace pages that exist.
        report: called after each record.

    Returns:
        what became of each record, and the group's page; None if there is no page for it to show.

    Raises:
        OutputError: if the group's page cannot be written.
    """
    done = []
    for path in records:
        done.append(report_record(path, overwrite=overwrite))
        report(done[-1])
    pages = [reported.page for reported in done if reported.page is not None]
    return done, _write_group(folder, pages) if pages else None


def write_folder_page(folder: Path) -> Path:
    """Write the page of the group from the scans' pages that lie in a folder already.

    Args:
        folder: where the group's page goes; of a BIDS derivative into its ``logs/``.

    Raises:
        OutputError: if it cannot be written.
    """
    return _write_group(folder, [page for record in find_records(folder) if (page := page_of(record)).is_file()])


def _write_group(folder: Path, pages: Sequence[Path]) -> Path:
    derivative = (folder / _DESCRIPTION).is_file()  # BIDS has no place for pages but logs/
    group = (folder / _LOGS if derivative else folder) / GROUP_PAGE
    write_group_page(pages, group, title=_title(folder))
    return group


def _title(folder: Path) -> str:
    """The name of a BIDS data set, or else of the folder."""
    name = None
    with suppress(OSError, ValueError, AttributeError):
        name = json.loads((folder / _DESCRIPTION).read_text(encoding="utf-8")).get("Name")
    return name if isinstance(name, str) and name else folder.resolve().name


def _is_current(page: Path, digest: str) -> bool:
    try:
        return load_summary(page).record == digest
    except InputError:
        return False


def _is_of_a_copy(path: Path) -> bool:
    """Whether a record says how noise was added."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):  # said when its page is made
        return False
    return isinstance(content, dict) and {"noise", "level_percent"} <= content.keys()


def _is_record(path: Path) -> bool:
    try:
        load_record(path)
    except InputError:
        return False
    return True
