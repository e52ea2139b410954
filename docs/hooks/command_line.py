"""The reference of the command line, made from the commands themselves."""

from __future__ import annotations

from typing import Any

import typer
from typer.cli import get_docs_for_click

from mri_denoise.cli.main import app

MARK = "<!-- commands -->"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put the help of every command in place of the mark."""
    if MARK not in markdown:
        return markdown
    command = typer.main.get_command(app)
    _summarise(command)
    context = typer.Context(command, info_name="mri-denoise")  # type: ignore[arg-type]
    reference = get_docs_for_click(obj=command, ctx=context, name="mri-denoise", indent=1)  # type: ignore[arg-type]
    return markdown.replace(MARK, reference)


def _summarise(command: Any) -> None:
    """Give each command its first sentence as the summary in lists, where typer would cut it off."""
    command.short_help = (command.help or "").partition("\n\n")[0].replace("\n", " ")
    for child in getattr(command, "commands", {}).values():
        _summarise(child)
