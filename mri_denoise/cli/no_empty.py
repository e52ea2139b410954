"""An empty argument is a mistake: a path made of it would be the working folder."""

from __future__ import annotations

import typer

from mri_denoise.cli.endings import Endings


class NoEmptyArguments(Endings):
    """A group of commands that refuses an empty argument, as a variable of a shell that is not set leaves it."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]  # typer's click
        """Look at the arguments of all commands below; code 2 if one of them is empty."""
        if "" in args:
            raise typer.BadParameter("an argument is empty; is a variable of the shell not set?")
        return super().parse_args(ctx, args)
