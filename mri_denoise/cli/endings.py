"""How commands end early: told to, or with words that they do not know, each in one line of our own."""

from __future__ import annotations

from typing import Any

import typer

from mri_denoise.cli.common import messages
from mri_denoise.cli.json_output import print_error
from mri_denoise.cli.streams import Streams
from mri_denoise.runtime import ToldToEnd


class Endings(Streams):
    """A group of commands that say so where they are interrupted, also as JSON where that is wanted."""

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]  # typer's click
        """Run the command that the arguments name."""
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, ToldToEnd):
            messages.print("mri-denoise: interrupted.")
            print_error("interrupted")
            raise
        except typer.BadParameter as error:  # of a word that is none of those offered, typer passes on pydantic's text
            error.message = error.message.removeprefix("Value error, ")
            raise
