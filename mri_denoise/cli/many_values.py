"""Options that take several values after one another, as argparse's do: ``--participant-label 01 02``."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import typer
from typer.core import TyperArgument, TyperCommand, TyperOption

_Group = tuple[str | None, list[str]]  # an option and its values; None for words that are left as they are


class ManyValues(TyperCommand):
    """A command whose repeatable options take one value or several each time."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]  # typer's click
        """Repeat an option before each of its values, which is how click understands them."""
        options = [param for param in self.params if isinstance(param, TyperOption)]
        repeated = repeat_options(
            args,
            several={name for option in options if option.multiple for name in option.opts},
            one={name for option in options if not option.multiple and not option.is_flag for name in option.opts},
            arguments=sum(isinstance(param, TyperArgument) for param in self.params),
        )
        return super().parse_args(ctx, repeated)


def repeat_options(args: Sequence[str], *, several: Collection[str], one: Collection[str], arguments: int) -> list[str]:
    """Write ``--label 01 02`` as ``--label 01 --label 02``.

    Args:
        args: the words of a command line.
        several: options that take several values.
        one: options that take one value.
        arguments: how many arguments the command has. Values of the last options are left to them where some are
            lacking otherwise.

    Examples:
        >>> repeat_options(["--label", "01", "02", "folder"], several=["--label"], one=[], arguments=1)
        ['--label', '01', '--label', '02', 'folder']
        >>> repeat_options(["folder", "--label", "01", "02"], several=["--label"], one=[], arguments=1)
        ['folder', '--label', '01', '--label', '02']
    """
    groups: list[_Group] = []
    given, place = 0, 0
    taking: list[str] | None = None
    while place < len(args):
        word = args[place]
        width = 2 if word in one else 1
        if word in several:
            taking = []
            groups.append((word, taking))
        elif word.startswith("-"):
            taking = None
            groups.append((None, list(args[place : place + width])))
        elif taking is not None:
            taking.append(word)
        else:
            given += 1
            groups.append((None, [word]))
        place += width
    return _join(groups, max(arguments - given, 0))


def _join(groups: Sequence[_Group], lacking: int) -> list[str]:
    """One list of words; the last options give up their last values to arguments that lack one."""
    parts: list[list[str]] = []
    for option, values in reversed(groups):
        if option is None:
            parts.append(values)
            continue
        spare = min(lacking, max(len(values) - 1, 0))
        lacking -= spare
        kept = values[: len(values) - spare]
        parts.append([word for value in kept for word in (option, value)] or [option])
        parts[-1] += values[len(kept) :]
    return [word for part in reversed(parts) for word in part]
