"""``mri-denoise node``."""

from __future__ import annotations

import dataclasses
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mri_denoise.cli import common
from mri_denoise.cli.json_output import json_option, print_json
from mri_denoise.runtime import choose_device

if TYPE_CHECKING:
    from mri_denoise.node.service import Status


def node(
    settings: Annotated[
        Path | None, typer.Argument(metavar="[SETTINGS]", help="A YAML file; docs/node.md says what is in it.")
    ] = None,
    spool: Annotated[Path | None, typer.Option(help="Folder of the queue.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen at; 127.0.0.1 if not set.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen at; 11112 if not set.")] = None,
    ae_title: Annotated[str | None, typer.Option(help="AE title of this node; MRI_DENOISE if not set.")] = None,
    peer: Annotated[
        list[str] | None, typer.Option(metavar="AE@ADDRESS", help="Who may send; as often as needed.")
    ] = None,
    send_to: Annotated[
        str | None, typer.Option(metavar="AE@HOST:PORT|URL", help="Where results go: C-STORE, or STOW-RS.")
    ] = None,
    show_status: Annotated[bool, typer.Option("--status", help="Say what lies in the queue, and end.")] = False,
    trust: common.Trust = False,
    as_json: Annotated[bool, json_option("Log lines, or the status, as JSON on standard output.")] = False,
) -> None:
    """Receive DICOM series, denoise them and send the derived series on, until stopped (SIGTERM, Ctrl-C)."""
    with common.one_line_errors(common.WRONG_USAGE), needs_node_packages():
        from mri_denoise.node.log import logging_to
        from mri_denoise.node.service import serve, status
        from mri_denoise.node.settings import load

        changes = _changes(spool, host, port, ae_title, peer, send_to)
        if show_status:
            queue = spool if settings is None and spool is not None else load(settings, changes).spool
            _print_status(status(queue), as_json)
            raise typer.Exit(common.DONE)
        found = load(settings, changes)
        for model in dict.fromkeys(rule.model for rule in found.rules):
            common.find_model(model, trust=trust)
        if found.device not in ("auto", "cpu"):  # torch, which takes seconds, is needed to see whether it is here
            choose_device(found.device)
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            # in a thread of its own: the main thread may hold the event's lock at this moment
            signal.signal(number, lambda *_: threading.Thread(target=stop.set).start())
        with logging_to(sys.stdout if as_json else sys.stderr, as_json=as_json):
            serve(found, stop)


@contextmanager
def needs_node_packages() -> Iterator[None]:
    """A missing optional package ends the command with one line."""
    try:
        yield
    except ImportError as error:
        if error.name is None or error.name.startswith("mri_denoise"):
            raise
        common.stop(f"needs {error.name}: python -m pip install 'mri-denoise[node]'", common.WRONG_USAGE)


def _changes(
    spool: Path | None,
    host: str | None,
    port: int | None,
    ae_title: str | None,
    peers: list[str] | None,
    send_to: str | None,
) -> dict[str, object]:
    """Options as settings by dotted key."""
    given = {"spool": spool, "listen.host": host, "listen.port": port, "listen.ae_title": ae_title}
    changes: dict[str, object] = {key: value for key, value in given.items() if value is not None}
    if peers:
        changes["peers"] = [dict(zip(("ae_title", "address"), one.rpartition("@")[::2], strict=True)) for one in peers]
    if send_to is not None:
        changes["destination"] = _destination(send_to)
    return changes


def _destination(text: str) -> dict[str, object]:
    """``AE@HOST:PORT`` or a URL."""
    if "://" in text:
        return {"dicomweb": {"url": text}}
    title, _, where = text.rpartition("@")
    host, _, port = where.rpartition(":")
    if not title or not host or not port.isdigit():
        common.stop(f"--send-to {text}: must be AE@HOST:PORT or a URL.", common.WRONG_USAGE)
    return {"dicom": {"ae_title": title, "host": host, "port": int(port)}}


def _print_status(found: Status, as_json: bool) -> None:
    if as_json:
        print_json(dataclasses.asdict(found))
        return
    counts = ", ".join(f"{count} {state}" for state, count in found.series.items())
    print(f"{'running' if found.running else 'not running'}: {counts}")
    for waiting in found.outgoing:
        if waiting.error:
            print(f"outgoing {waiting.series}: {waiting.error}")
    for failed in found.failed:
        print(f"failed {failed.series}: {'; '.join(failed.reasons) or 'job.json cannot be read'}")
