"""Load the compiled library that lies beside this file, if the installation has one."""

from __future__ import annotations

import ctypes
import itertools
import os
from ctypes import POINTER, c_char_p, c_float, c_int32, c_int64, c_void_p
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mri_denoise.inference.native.build import library_name

LIBRARY = Path(__file__).with_name(library_name())
VERSION = 2  # of the interface in filter.h
PLAIN = "MRI_DENOISE_PLAIN_FILTER"  # environment variable that switches the compiled filter off


class FilterJob(ctypes.Structure):
    """``filter_job`` of filter.h, which says what each field is."""

    _fields_ = [
        ("shape", c_int64 * 3),
        ("counts", c_int64 * 3),
        ("starts", c_void_p * 3),
        ("offsets", c_void_p),
        ("offset_count", c_int32),
        ("members", c_int32),
        ("edges", c_int32 * 3),
        ("reach", c_int32 * 3),
        ("shrinkage", c_float),
        ("air", c_float),
        ("least_power", c_float),
        ("least_left", c_float),
        ("transforms", c_void_p * 3),
        ("windows", c_void_p * 3),
        ("spectrum", c_void_p),
        ("bias", c_void_p),
        ("bias_count", c_int32),
        ("bias_steps", c_int32),
        ("sigma", c_void_p),
        ("sigma_step", c_int32),
        ("instruction_set", c_int32),
        ("noisy", c_void_p),
        ("pilot", c_void_p),
        ("unbiased", c_void_p),
        ("values", c_void_p),
        ("weights", c_void_p),
    ]


@dataclass(frozen=True, kw_only=True)
class FilterLibrary:
    """The compiled functions.

    Args:
        handle: of the library.
        instruction_sets: names of those that this processor has and the library was built for, the fastest first.
    """

    handle: ctypes.CDLL
    instruction_sets: tuple[str, ...]

    def unbias(self, job: FilterJob, planes: range) -> None:
        """Subtract the bias of the noise from some planes of a volume."""
        self.handle.filter_unbias(ctypes.byref(job), planes.start, planes.stop)

    def filter_box(self, job: FilterJob, rows: range, columns: range) -> None:
        """Filter the blocks in a box of the grid: some along the first two axes, all along the third.

        Raises:
            MemoryError: if there is no memory for a group.
        """
        if self.handle.filter_box(ctypes.byref(job), rows.start, rows.stop, columns.start, columns.stop):
            raise MemoryError("no memory for the collaborative filter")


def load_library(path: Path) -> FilterLibrary:
    """Load a library.

    Raises:
        OSError: if the file is missing, made for another system, or made for another version of this package.
    """
    handle = ctypes.CDLL(str(path))
    try:
        made_for = handle.filter_version(), handle.filter_job_size()
    except AttributeError as error:
        raise OSError(f"{path.name} is another library") from error
    if made_for != (VERSION, ctypes.sizeof(FilterJob)):
        raise OSError(f"{path.name} was made for another version of this package")
    handle.filter_instruction_set.restype = c_char_p
    handle.filter_unbias.restype = None
    handle.filter_unbias.argtypes = [POINTER(FilterJob), c_int64, c_int64]
    handle.filter_box.restype = c_int32
    handle.filter_box.argtypes = [POINTER(FilterJob), c_int64, c_int64, c_int64, c_int64]
    names = itertools.takewhile(bool, map(handle.filter_instruction_set, itertools.count()))
    return FilterLibrary(handle=handle, instruction_sets=tuple(name.decode() for name in names))


@cache
def installed_library() -> FilterLibrary | None:
    """Load the library of this installation; None if there is none that works."""
    try:
        return load_library(LIBRARY)
    except OSError:
        return None


def available() -> bool:
    """Whether the compiled filter runs on volumes in a CPU's memory."""
    return not os.environ.get(PLAIN) and installed_library() is not None


def description() -> str:
    """Say which form of the collaborative filter runs on volumes in a CPU's memory, and why.

    Returns:
        ``"compiled, avx2"``, with the instruction set; or ``"PyTorch"`` with the reason.
    """
    library = installed_library()
    if os.environ.get(PLAIN):
        return f"PyTorch, {PLAIN} is set"
    if library is None:
        return f"PyTorch, the compiled library {'cannot be loaded' if LIBRARY.exists() else 'is missing'}"
    return f"compiled, {library.instruction_sets[0]}"
