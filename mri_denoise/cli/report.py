"""``mri-denoise report``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mri_denoise.bids.dataset import SOFTWARE, is_raw
from mri_denoise.cli import common
from mri_denoise.cli.json_output import json_option, print_json

if TYPE_CHECKING:  # the command line answers faster without
    from mri_denoise.report.folder import Reported


def report(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder of results with their run records.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Make all pages again.")] = False,
    as_json: Annotated[bool, json_option()] = False,
) -> None:
    """Write an HTML page for each scan that was denoised, and one of them all; the originals must still be there."""
    if not folder.is_dir():
        problem = "is a file; give the folder that it lies in" if folder.exists() else "no such folder"
        common.stop(f"{folder}: {problem}.", common.WRONG_USAGE)
    if is_raw(folder):
        hint = f"give the folder of the results, as {folder / 'derivatives' / SOFTWARE}"
        common.stop(f"{folder}: holds raw data, which are never written into; {hint}.", common.WRONG_USAGE)
    from mri_denoise.report.folder import find_records

    records = find_records(folder)
    if not records:
        common.stop(
            f"{folder}: no run record (*.mri-denoise.json) in this folder; give the folder of a run's results.",
            common.SOME_FAILED,
        )
    done, group = _run(folder, records, overwrite, as_json)
    failed = [reported for reported in done if reported.error]
    for reported in failed:
        common.messages.print(f"failed {reported.error}")
    if as_json:
        print_json(
            {
                "group": None if group is None else str(group),
                "pages": [{"page": str(r.page), "record": str(r.record), "made": r.made} for r in done if not r.error],
                "failed": [{"record": str(r.record), "error": r.error} for r in failed],
            }
        )
    else:
        made = sum(reported.made for reported in done)
        print(f"{made} reported, {len(done) - made - len(failed)} kept, {len(failed)} failed.")
    raise typer.Exit(common.SOME_FAILED if failed else common.DONE)


def _run(folder: Path, records: list[Path], overwrite: bool, as_json: bool) -> tuple[list[Reported], Path | None]:
    """Report with a bar, and a line for each page."""
    from mri_denoise.report.folder import report_folder

    with common.counting_bar() as bar:
        task = bar.add_task("reporting", total=len(records))

        def note(reported: Reported) -> None:
            bar.advance(task)
            if reported.made and not as_json:
                bar.console.print(f"{reported.record.name} -> {reported.page}")

        with common.one_line_errors():
            done, group = report_folder(folder, records, overwrite=overwrite, report=note)
    if group is not None and not as_json:
        common.messages.print(f"all scans -> {group}")
    return done, group
