"""A progress bar over the voxels of a volume."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def voxel_bar(total: int, *, shown: bool) -> Iterator[Callable[[float], None]]:
    """Show a bar on standard error while voxels are denoised.

    Args:
        total: how many there are.
        shown: False shows nothing.

    Yields:
        a function that advances the bar by a number of voxels.
    """
    if not shown:
        yield lambda count: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("slices", total=total)
        yield lambda count: bar.advance(task, count)
