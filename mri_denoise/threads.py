"""Share work among processor cores so that results do not depend on their number.

A library that splits an operation among threads rounds differently for each number of them. So the work is cut into
pieces of a fixed size, each piece is computed by one thread, and threads only decide how many pieces run at a time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

import torch

from mri_denoise.runtime import end_if_told

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_here = threading.local()


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Let each operation of PyTorch run in one thread inside the block; :func:`run_in_threads` still takes them all."""
    if getattr(_here, "count", None) is not None:
        yield
        return
    _here.count = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        yield
    finally:
        torch.set_num_threads(_here.count)
        _here.count = None


def threads() -> int:
    """How many pieces of work may run at a time: as many as PyTorch had threads (``torch.get_num_threads``)."""
    return getattr(_here, "count", None) or torch.get_num_threads()


def run_in_threads(
    function: Callable[[_Item], _Result], items: Sequence[_Item], at_most: int | None = None
) -> list[_Result]:
    """Call a function with each item, some at a time, each in one thread.

    Args:
        function: releases the interpreter's lock most of the time, as PyTorch's operators do.
        items: the pieces of work.
        at_most: how many at a time, if memory sets a limit.

    Returns:
        the results, in the order of ``items``.

    Raises:
        ToldToEnd: between two pieces, if the work is to end (:func:`~mri_denoise.runtime.ends_when`).

    Examples:
        >>> run_in_threads(lambda n: n * n, [1, 2, 3])
        [1, 4, 9]
    """
    count = min(threads(), len(items), at_most or len(items))
    with one_thread_each():
        if count <= 1:
            return [_call(function, item) for item in items]
        gradients, inference = torch.is_grad_enabled(), torch.is_inference_mode_enabled()

        def call(item: _Item) -> _Result:
            with torch.inference_mode(inference), torch.set_grad_enabled(gradients and not inference):
                return _call(function, item)

        with ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(call, items))


def run_together(first: Callable[[], _Item], second: Callable[[], _Result]) -> tuple[_Item, _Result]:
    """Call two functions at a time, each in one thread (:func:`run_in_threads`).

    Examples:
        >>> run_together(lambda: 1, lambda: "two")
        (1, 'two')
    """
    calls: list[Callable[[], Any]] = [first, second]
    one, two = run_in_threads(lambda call: call(), calls)
    return one, two


def _call(function: Callable[[_Item], _Result], item: _Item) -> _Result:
    end_if_told()
    return function(item)
