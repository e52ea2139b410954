"""``mri-denoise dicomweb``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from mri_denoise.cli import common
from mri_denoise.cli.node import needs_node_packages

app = typer.Typer(
    help="Fetch series from a DICOMweb server, and store results there.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
Url = Annotated[str, typer.Argument(metavar="URL", help="Base of the service, as https://HOST/dicom-web.")]
Ca = Annotated[Path | None, typer.Option(help="Certificates (PEM) to check the server against.")]


@app.command()
def pull(
    url: Url,
    output: Annotated[Path, typer.Argument(metavar="OUTPUT", help="Folder; each series gets one of its own.")],
    study: Annotated[str | None, typer.Option(metavar="UID", help="Study Instance UID: all its series.")] = None,
    series: Annotated[str | None, typer.Option(metavar="UID", help="Series Instance UID: this one.")] = None,
    ca: Ca = None,
) -> None:
    """Fetch a study or a series (QIDO-RS, WADO-RS).

    Access data come from the environment: MRI_DENOISE_DICOMWEB_TOKEN, or MRI_DENOISE_DICOMWEB_USER and _PASSWORD.
    """
    if study is None and series is None:
        common.stop("say what to fetch: --study UID or --series UID.", common.WRONG_USAGE)
    with _one_line():
        from mri_denoise.node import web

        with common.busy("fetching"):
            written, count = web.pull(web.WebServer(url, ca), study, series, output)
    print(f"{written} images of {count} series fetched.")


@app.command()
def push(
    url: Url,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder with DICOM files, or one file.")],
    ca: Ca = None,
) -> None:
    """Store the DICOM files of a folder (STOW-RS).

    Access data come from the environment: MRI_DENOISE_DICOMWEB_TOKEN, or MRI_DENOISE_DICOMWEB_USER and _PASSWORD.
    """
    if not folder.exists():
        common.stop(f"{folder}: no such file or folder.", common.WRONG_USAGE)
    with _one_line():
        from mri_denoise.io.sniff import is_dicom
        from mri_denoise.node import web

        found = [folder] if folder.is_file() else sorted(path for path in folder.rglob("*") if path.is_file())
        files = [path for path in found if path.name.upper() != "DICOMDIR" and is_dicom(path)]
        if not files:
            common.stop(f"{folder}: no DICOM file.", common.SOME_FAILED)
        with common.busy("storing"):
            stored, refused = web.push(web.WebServer(url, ca), files)
    for path, reason in refused:
        common.messages.print(f"failed {path}: {reason}")
    print(f"{stored} images stored, {len(refused)} refused.")
    raise typer.Exit(common.SOME_FAILED if refused else common.DONE)


@contextmanager
def _one_line() -> Iterator[None]:
    """Whatever the server or the network does ends the command with one line."""
    with common.one_line_errors(), needs_node_packages():
        try:
            yield
        except (ConnectionError, ValueError) as error:
            common.stop(str(error), common.SOME_FAILED)
