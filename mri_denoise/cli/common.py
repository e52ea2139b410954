"""What the subcommands share: messages, exit codes, and where a result goes."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console

from mri_denoise.cli.json_output import print_error
from mri_denoise.errors import InputError, printable
from mri_denoise.io.case import Case, Skip
from mri_denoise.io.files import same_file
from mri_denoise.io.share import Share
from mri_denoise.io.sniff import asks_for_another_format, named_like_image
from mri_denoise.pipeline.parallel import Parallel
from mri_denoise.settings import Sigma

if TYPE_CHECKING:
    from rich.progress import Progress

    from mri_denoise.bundles.registry import Bundle

Trust = Annotated[bool, typer.Option("--trust", help="Run the code in the configs of a bundle that is not known here.")]
Scheduler = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="Let the workers of a Dask cluster that runs do it, as tcp://host:8786."),
]
ShareOption = Annotated[
    str | None,
    typer.Option(
        "--share",
        metavar="K/N",
        help="Do part K of N, for N computers without a scheduler: every Nth participant or image.",
    ),
]
DONE, SOME_FAILED, WRONG_USAGE = 0, 1, 2


class _Messages(Console):
    """Standard error, on which no name of a file can steer the terminal."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Print, texts as :func:`mri_denoise.errors.printable` makes them."""
        super().print(*(printable(thing) if isinstance(thing, str) else thing for thing in objects), **options)


messages = _Messages(stderr=True, highlight=False, soft_wrap=True, markup=False)


def stop(message: str, code: int) -> NoReturn:
    """Say one line on standard error and end with ``code``; with ``--json`` also as JSON, but for wrong usage."""
    messages.print(f"mri-denoise: {message}")
    if code != WRONG_USAGE:
        print_error(message)
    raise typer.Exit(code)


@contextmanager
def one_line_errors(code: int = SOME_FAILED) -> Iterator[None]:
    """Bad input ends the command with one line instead of a traceback."""
    try:
        yield
    except InputError as error:
        stop(str(error), code)


def parallel(
    source: Path,
    output: Path,
    sigma: str,
    *,
    jobs: int,
    cores: int | None = None,
    memory_mb: int | None = None,
    scheduler: str | None,
) -> tuple[Path, Path, str, Parallel]:
    """Where a command's images are denoised; ends with code 2 for options that do not go together.

    Returns:
        the paths of the source, of the output and of a noise map, absolute if other computers are to find them; and the
        choices.
    """
    with one_line_errors(WRONG_USAGE):
        where = Parallel(jobs=jobs, cores=cores, memory_mb=memory_mb, scheduler=scheduler)
        if scheduler is None:
            return source, output, sigma, where
        level = Sigma.parse(sigma)
        return source.absolute(), output.absolute(), str(level.path.absolute()) if level.path else sigma, where


def parse_share(text: str | None) -> Share:
    """The part of a study that is done here, all of it by default; ends with code 2 if it is none."""
    with one_line_errors(WRONG_USAGE):
        return Share() if text is None else Share.parse(text)


def say(text: str) -> None:
    """Print one line on standard output; no name of a file in it can steer the terminal."""
    print(printable(text))


def find_model(model: str, *, trust: bool) -> Bundle:
    """The bundle of a model, which may be run; says what there is to say of it on standard error.

    The command ends with code 2 if there is no such bundle, or its code is neither known nor trusted.
    """
    from mri_denoise.bundles.registry import find_bundle
    from mri_denoise.bundles.trust import is_trusted, require_trust
    from mri_denoise.bundles.weights import SUMS

    with one_line_errors(WRONG_USAGE):
        bundle = find_bundle(model)
        require_trust(bundle, given=trust)
    if not is_trusted(bundle):
        messages.print(f"trusting bundle {bundle.folder}")
    if bundle.weights.is_file() and not (bundle.weights.parent / SUMS).is_file():
        messages.print(f"note {bundle.folder}: has no {SUMS}, its weights are taken as they are")
    return bundle


def busy(what: str) -> AbstractContextManager[object]:
    """A spinner on standard error while something takes its time, if somebody watches."""
    return messages.status(printable(what)) if interactive() else nullcontext()


def counting_bar(*, shown: bool = True, transient: bool = True) -> Progress:
    """A bar on standard error that counts, if somebody watches.

    Args:
        shown: False shows nothing.
        transient: whether it vanishes at its end.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=messages, disable=not (shown and interactive()), transient=transient)


def say_skips(skips: Iterable[Skip]) -> None:
    """Print a line for each file that is left alone."""
    for skip in skips:
        messages.print(f"{'failed' if skip.damaged else 'skipped'} {skip.source}: {skip.reason}")


def as_records(skips: Iterable[Skip]) -> list[dict[str, Any]]:
    """Files that are left alone, for JSON."""
    return [{"path": str(skip.source), "reason": skip.reason, "damaged": skip.damaged} for skip in skips]


def first_names(names: Sequence[str], most: int = 8) -> str:
    """The first names of a list, and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def find_cases(
    source: Path, output: Path | None = None, *, force: bool = False, own_results: bool = True
) -> tuple[list[Case], list[Skip]]:
    """Find the cases of a path, and print a line for each file that is left alone.

    The command ends with one line and code 2 if the path does not exist, with code 1 if it holds no usable image.

    Args:
        source: a file or a folder.
        output: folder of the results; those of an earlier run are not taken for input. Where the input lies in it,
            nothing tells them apart by their place.
        force: as for :func:`mri_denoise.io.discover`.
        own_results: as for :func:`mri_denoise.io.discover`.
    """
    from mri_denoise.io import discover

    if not (source.exists() or source.is_symlink()):
        stop(f"{source}: no such file or folder.", WRONG_USAGE)
    with one_line_errors(), busy("looking for images"):
        cases, skips = discover(source, force=force, own_results=own_results)
    if output is not None and source.is_dir() and not _lies_in(source, os.path.realpath(output)):
        inside = os.path.realpath(output)
        cases = [c for c in cases if not any(_lies_in(p, inside) for p in c.sources)]
        skips = [s for s in skips if not _lies_in(s.source, inside)]
        if not cases and not skips:
            stop(f"{source}: all its images lie in the output folder {output}; choose another output.", SOME_FAILED)
    say_skips(skips)
    return cases, skips


def find_all(sources: Sequence[Path], **options: Any) -> tuple[list[Case], list[Skip]]:
    """Find the cases of several paths, as :func:`find_cases` does for each with the same options."""
    cases: list[Case] = []
    skips: list[Skip] = []
    for source in dict.fromkeys(sources):
        found, left = find_cases(source, **options)
        cases += found
        skips += left
    return cases, skips


def _lies_in(path: Path, folder: str) -> bool:
    """Whether a path leads into a real folder. One whose links go in a circle, where Path.resolve() fails, does not."""
    return Path(os.path.realpath(path)).is_relative_to(folder)


def exit_code(done: int, failed: int, skips: list[Skip]) -> int:
    """0 if something was done and nothing failed, otherwise 1; damaged files count as failed."""
    return DONE if done and not failed and not any(s.damaged for s in skips) else SOME_FAILED


def place(cases: list[Case], source: Path, output: Path, *, keeps_format: bool = True) -> tuple[list[Case], Path]:
    """Decide where results go: into the folder named; a single result that is a file may also go to the file named.

    A name is that of a file if it ends like an image's: ``out.v2`` is a folder. The command ends with code 2, before
    anything is computed, if a file can be no result: it is the input, asks for another format, or is named where a
    folder is needed.

    Args:
        cases: what was found.
        source: where.
        output: as the user named it.
        keeps_format: whether results have the format of their source.

    Returns:
        The cases, and the folder that their ``output`` is relative to.
    """
    if source.is_dir() and output.resolve() == source.resolve():
        stop(f"{output}: is the input folder; choose another output, inputs are never written over.", WRONG_USAGE)
    single_file = len(cases) == 1 and not cases[0].writes_folder and (source.is_file() or cases[0].series)
    folder = output
    if single_file and not output.is_dir() and named_like_image(output):
        refusal = asks_for_another_format(cases[0].sources[0], output, picture=cases[0].picture)
        if keeps_format and refusal:
            stop(f"{refusal}.", WRONG_USAGE)
        cases, folder = [dataclasses.replace(cases[0], output=Path(output.name))], output.parent
    elif output.exists() and not output.is_dir():
        stop(f"{output}: is a file, but these results need a folder.", WRONG_USAGE)
    elif named_like_image(output) and not output.exists():
        hint = "; `denoise --to-nifti` writes DICOM as NIfTI" if any(case.writes_folder for case in cases) else ""
        stop(f"{output}: is the name of a file, but these results need a folder{hint}.", WRONG_USAGE)
    if len(cases) == 1:
        for path in cases[0].outputs(folder):
            if any(same_file(path, source) for source in cases[0].sources):
                stop(f"{path}: is the input and is not overwritten; choose another output.", WRONG_USAGE)
    return cases, folder


def interactive() -> bool:
    """Whether somebody watches standard error, so that bars make sense."""
    return sys.stderr.isatty()
