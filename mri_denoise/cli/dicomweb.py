"""``mri-denoise dicomweb``."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from mri_denoise.cli import common
from mri_denoise.cli.json_output import json_option, print_json
from mri_denoise.cli.node import needs_node_packages
from mri_denoise.node.web_limits import WebLimits

app = typer.Typer(
    help="Fetch series from a DICOMweb server, and store results there.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
Url = Annotated[str, typer.Argument(metavar="URL", help="Base of the service, as https://HOST/dicom-web.")]
Ca = Annotated[Path | None, typer.Option(help="Certificates (PEM) to check the server against.")]

AsJson = Annotated[bool, json_option()]
MaxGb = Annotated[float, typer.Option(min=1e-6, help="Give up when the server has sent more GB.")]
MaxMinutes = Annotated[float, typer.Option(min=1e-3, help="Give up after so many minutes.")]


@app.command()
def pull(
    url: Url,
    output: Annotated[Path, typer.Argument(metavar="OUTPUT", help="Folder; each series gets one of its own.")],
    study: Annotated[str | None, typer.Option(metavar="UID", help="Study Instance UID: all its series.")] = None,
    series: Annotated[str | None, typer.Option(metavar="UID", help="Series Instance UID: this one.")] = None,
    ca: Ca = None,
    max_gb: MaxGb = WebLimits.gb,
    max_minutes: MaxMinutes = WebLimits.minutes,
    as_json: AsJson = False,
) -> None:
    """Fetch a study or a series (QIDO-RS, WADO-RS).

    Access data come from the environment: MRI_DENOISE_DICOMWEB_TOKEN, or MRI_DENOISE_DICOMWEB_USER and _PASSWORD.
    """
    if study is None and series is None:
        common.stop("say what to fetch: --study UID or --series UID.", common.WRONG_USAGE)
    with _one_line():
        from mri_denoise.node.spool import is_uid
        from mri_denoise.node.web import WebServer
        from mri_denoise.node.web_files import pull as pull_files

        for uid in (study, series):
            if uid is not None and not is_uid(uid):
                common.stop(f"{uid}: not a UID; it consists of digits and dots.", common.WRONG_USAGE)
        with common.one_line_errors(common.WRONG_USAGE):
            server = WebServer(url, ca, WebLimits(minutes=max_minutes, gb=max_gb))
        with common.busy("fetching"):
            pulled = pull_files(server, output, study=study, series=series)
    if as_json:
        print_json(dataclasses.asdict(pulled))
    else:
        print(f"{pulled.images} images of {pulled.series} series fetched.")


@app.command()
def push(
    url: Url,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder with DICOM files, or one file.")],
    ca: Ca = None,
    max_minutes: MaxMinutes = WebLimits.minutes,
    as_json: AsJson = False,
) -> None:
    """Store the DICOM files of a folder (STOW-RS).

    Access data come from the environment: MRI_DENOISE_DICOMWEB_TOKEN, or MRI_DENOISE_DICOMWEB_USER and _PASSWORD.
    """
    if not folder.exists():
        common.stop(f"{folder}: no such file or folder.", common.WRONG_USAGE)
    with _one_line():
        from mri_denoise.io.dicom.open import readable
        from mri_denoise.io.sniff import is_dicom
        from mri_denoise.node.web import WebServer
        from mri_denoise.node.web_files import push as push_files

        found = [path for path in _files(folder) if path.name.upper() != "DICOMDIR"]
        files = [path for path in found if is_dicom(path) or not readable(path)]  # which is said file by file
        if not files:
            common.stop(f"{folder}: no DICOM file.", common.SOME_FAILED)
        with common.one_line_errors(common.WRONG_USAGE):
            server = WebServer(url, ca, WebLimits(minutes=max_minutes))
        with common.busy("storing"):
            pushed = push_files(server, files)
    for one in pushed.refused:
        common.messages.print(f"failed {one.path}: {one.reason}")
    if as_json:
        print_json(dataclasses.asdict(pushed))
    else:
        print(f"{pushed.images} images stored, {len(pushed.refused)} refused.")
    raise typer.Exit(common.SOME_FAILED if pushed.refused else common.DONE)


def _files(folder: Path) -> list[Path]:
    """The file named, or those below a folder, sorted; hidden ones are not whole yet, or not meant for others.

    Broken links and folders that cannot be opened are among them: they fail, and say so.
    """
    from mri_denoise.io.walk import walk

    if folder.is_file():
        return [folder]
    closed: list[Path] = []
    files = walk(folder, lambda error: closed.append(Path(error.filename)))
    return sorted([path for path in files if path.is_file() or not path.exists()] + closed)


@contextmanager
def _one_line() -> Iterator[None]:
    """Whatever the server or the network does ends the command with one line."""
    with common.one_line_errors(), needs_node_packages(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # libraries quote what the server sent
        try:
            yield
        except (ConnectionError, ValueError) as error:
            common.stop(str(error), common.SOME_FAILED)
