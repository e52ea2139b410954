"""What surrounds a run: the device, its fast precision, and libraries kept quiet."""

from __future__ import annotations

import gc
import importlib
import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from mri_denoise.errors import InputError

if TYPE_CHECKING:
    import torch


def usable_cores() -> int:
    """How many processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def end_tidily() -> None:
    """Let the process end like after an error when it is told to (SIGTERM, SIGHUP), so that it leaves nothing behind.

    By default it would end at once, with patient data in temporary files. Handlers set before are kept, and SIGHUP that
    ``nohup`` switched off. Has no effect outside the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, _exit)


class ToldToEnd(SystemExit):
    """The process or its run was told to end; to be told from the ``exit()`` of a bundle."""


def _exit(number: int, frame: object) -> None:
    """End with the code that a shell gives to a process that a signal ended."""
    raise ToldToEnd(128 + number)


_told: Callable[[], bool] | None = None


@contextmanager
def ends_when(told: Callable[[], bool]) -> Iterator[None]:
    """Let :func:`end_if_told` end the work of this process, in any of its threads, for the length of the block.

    For work that no signal reaches, since it is not in the main thread.

    Args:
        told: whether the work is to end; asked often.
    """
    global _told
    before, _told = _told, told
    try:
        yield
    finally:
        _told = before


def end_if_told() -> None:
    """Called between the steps of work that takes long.

    Raises:
        ToldToEnd: if this work is to end (:func:`ends_when`).
    """
    if _told is not None and _told():
        raise ToldToEnd(1)


def process_rank() -> tuple[int, int]:
    """Which process this is, and of how many, as ``torchrun`` tells them; (0, 1) without it."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


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


def choose_precision(device: torch.device | str, *, integers: bool = False) -> str:
    """The fast precision where the hardware has it: ``"bfloat16"`` or ``"int8"``, otherwise ``"float32"``.

    Args:
        device: CUDA needs compute capability 8.0 for bfloat16; the CPU AMX or, unless it is Intel's, AVX-512 BF16:
            Intel's is slower than float32 (0.6 times as fast, convolution of 128 channels, Sapphire Rapids without
            AMX), AMD's nearly twice as fast. Emulation is slower, too.
        integers: whether integers will do, as for a network whose result a filter goes over: faster than bfloat16
            except with AMX, and half as exact (:mod:`mri_denoise.networks.integers`).
    """
    import torch

    kind = torch.device(device).type
    if kind == "cuda":
        return "bfloat16" if torch.cuda.get_device_capability(device) >= (8, 0) else "float32"
    if kind != "cpu" or not hasattr(torch.cpu, "get_capabilities"):
        return "float32"
    has = torch.cpu.get_capabilities()
    if has.get("amx_bf16"):
        return "bfloat16"
    if integers:
        from mri_denoise.networks.integers import supported

        if supported():
            return "int8"
    return "bfloat16" if has.get("avx512_bf16") and not has.get("cpu_name", "").startswith("Intel") else "float32"


@contextmanager
def quick_start() -> Iterator[None]:
    """Import in the block in less time, for a process that ends with the command.

    What is imported stays, so nothing is gained by looking for garbage among it, now or later. Of pydicom nibabel takes
    one class, for DICOM in a NIfTI header, which stays bytes without it; so nibabel does not load it, with GDCM and all
    other decoders, where nothing else has.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        if sys.modules.keys().isdisjoint({"nibabel", "pydicom"}):
            sys.modules["pydicom"] = None  # type: ignore[assignment]  # Python's way to say that it cannot be imported
            try:
                importlib.import_module("nibabel")
            finally:
                del sys.modules["pydicom"]
        yield
        gc.freeze()
    finally:
        if collecting:
            gc.enable()


_quiet_lock = threading.Lock()
_quiet_blocks = 0  # of quiet() that have begun and not ended
_before_quiet = ExitStack()  # brings back what was before the first of them


@contextmanager
def quiet() -> Iterator[None]:
    """Keep engines' and libraries' logs and warnings out of the way of a command's own messages.

    They are the whole process's, so this is for commands and the processes that they start, not for functions that
    other programs call. Blocks may overlap in several threads: the last one to end brings back what was before.
    """
    global _quiet_blocks
    with _quiet_lock:
        _quiet_blocks += 1
        if _quiet_blocks == 1:
            _before_quiet.callback(logging.disable, logging.root.manager.disable)
            logging.disable(logging.CRITICAL)
            _before_quiet.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
    try:
        yield
    finally:
        with _quiet_lock:
            _quiet_blocks -= 1
            if not _quiet_blocks:
                _before_quiet.close()
