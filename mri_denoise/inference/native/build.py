"""Compile the library: ``python mri_denoise/inference/native/build.py``.

Installing the package does it, too (``hatch_build.py``). This file needs nothing but the standard library.
"""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).with_name("filter.c")
# the same bits on each run and for any number of threads: no fusing, no reordering of sums but what the source says
FLAGS = ["-O2", "-std=gnu11", "-ffp-contract=off", "-fno-math-errno", "-fvisibility=hidden", "-shared"]
if sys.platform != "win32":
    FLAGS += ["-fPIC"]


def library_name() -> str:
    """Name of the library's file on this system."""
    return {"win32": "filter.dll", "darwin": "filter.dylib"}.get(sys.platform, "filter.so")


def find_compilers() -> Iterator[list[str]]:
    """List the commands to try: ``$CC``, the system's ``cc``, then Zig's from the PyPI package ziglang.

    On Windows there is no ``cc``, and GCC aligns the stack to less than vectors need: only Zig is tried.
    """
    if os.environ.get("CC"):
        yield shlex.split(os.environ["CC"])
    if sys.platform != "win32" and shutil.which("cc"):
        yield ["cc"]
    if importlib.util.find_spec("ziglang"):
        yield [sys.executable, "-m", "ziglang", "cc", "-mcpu=baseline"]  # its default is the processor of the build


def build_library(folder: Path) -> Path | None:
    """Compile the library with the first compiler that can.

    Args:
        folder: where the library is written.

    Returns:
        the library's file, or None if no compiler could; then what they said is printed to standard error.
    """
    library = folder / library_name()
    for compiler in find_compilers():
        command = [*compiler, *FLAGS, str(SOURCE), "-o", str(library)]
        try:
            subprocess.run(command, check=True, stdout=sys.stderr)
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"{shlex.join(compiler)} cannot compile {SOURCE.name}: {error}", file=sys.stderr)
        else:
            return library
    print("No C compiler: the collaborative filter runs in PyTorch, which takes several times as long.", file=sys.stderr)
    return None


if __name__ == "__main__":
    sys.exit(build_library(SOURCE.parent) is None)
