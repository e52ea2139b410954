"""What surrounds a run: the device, libraries kept quiet, and errors in one line."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from mri_denoise.io.case import Case, InputError


def usable_cores() -> int:
    """How many processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def choose_device(device: str) -> str:
    """The device to run on: what was asked for, or with ``"auto"`` CUDA, then Apple's MPS, then the CPU.

    Raises:
        InputError: if that device is not here.
    """
    # read by torch when it is imported: what Apple's GPU lacks is then done on the CPU
    os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")
    import torch

    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if device == "auto":
        return next(name for name, here in available.items() if here)
    if not available.get(device.split(":")[0], False):
        raise InputError(f"device {device}: not available on this computer; use --device auto or cpu.")
    return device


@contextmanager
def quiet() -> Iterator[None]:
    """Keep engines' and libraries' logs and warnings out of the way of a command's own messages."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def find_error(error: BaseException) -> InputError | None:
    """The InputError behind the layers that transforms, engines and configs wrap around it, if there is one."""
    from mri_denoise.bundles.weights import WeightsError

    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, InputError):
            return seen
        if isinstance(seen, WeightsError):
            return InputError(str(seen))
        seen = seen.__cause__ or seen.__context__
    return None


def as_input_error(case: Case, error: Exception) -> InputError:
    """One line for whatever went wrong with a case, so that the other cases go on."""
    if isinstance(error, MemoryError):
        return InputError(f"{case.label}: too large for this computer's memory; cut it into parts.")
    return find_error(error) or _unexpected(case, error)


def _unexpected(case: Case, error: BaseException) -> InputError:
    """One line for an error that nothing foresaw."""
    while error.__cause__ is not None:
        error = error.__cause__
    words = str(error).strip().splitlines()
    reason = f"{type(error).__name__}: {words[0]}" if words else type(error).__name__
    return InputError(f"{case.label}: cannot be denoised ({reason}); this is a bug, please report it.")
