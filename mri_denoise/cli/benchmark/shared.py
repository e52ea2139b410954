"""What the commands of ``mri-denoise benchmark`` share: options, progress, and the end of a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from mri_denoise.cli import common
from mri_denoise.cli.json_output import json_option, print_json

if TYPE_CHECKING:
    from mri_denoise.benchmarks.progress import Step

Device = Annotated[str, typer.Option(help="For networks: auto, cpu, cuda or mps.")]
AsJson = Annotated[bool, json_option("Print the record as JSON.")]


def words(text: str | None) -> list[str]:
    """The words of an option, with commas between them."""
    return [word.strip() for word in (text or "").split(",") if word.strip()]


def show(record: Mapping[str, object], text: str, as_json: bool) -> None:
    """Print the record as JSON, or else a text."""
    if as_json:
        print_json(record)
    else:
        print(text)


class Messages:
    """Progress as lines on standard error, whether somebody watches or not."""

    def say(self, what: str) -> None:
        """Print a line."""
        common.messages.print(what)

    @contextmanager
    def stage(self, title: str, total: int | None = None) -> Iterator[Step]:
        """Print the title of a stage."""
        if title:
            common.messages.print(title)
        yield lambda advance=1, doing="": None


class Bars:
    """Progress as bars on standard error where somebody watches, otherwise as lines.

    Args:
        transient: whether a bar vanishes at the end of its stage.
    """

    def __init__(self, *, transient: bool = False) -> None:
        self.transient = transient

    def say(self, what: str) -> None:
        """Print a line."""
        common.messages.print(what)

    @contextmanager
    def stage(self, title: str, total: int | None = None) -> Iterator[Step]:
        """Show a bar; one whose total is not known moves to and fro."""
        if not common.interactive():
            with Messages().stage(title, total) as step:
                yield step
            return
        with common.counting_bar(transient=self.transient) as bars:
            bar = bars.add_task(title, total=total)

            def count(advance: int = 1, doing: str = "") -> None:
                bars.update(bar, advance=advance, description=doing or title)

            yield count
