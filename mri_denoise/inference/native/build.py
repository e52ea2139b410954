"""Compile the library beside this file: ``python mri_denoise/inference/native/build.py``.

An installation does it, too (``hatch_build.py``). This file needs nothing but the standard library.
"""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).with_name("filter.c")
# no fusing or reordering but what the source says: the same bits from each compiler and for any number of threads
_FLAGS = ["-O2", "-std=gnu11", "-ffp-contract=off", "-fno-math-errno", "-fvisibility=hidden", "-shared"]


def library_name() -> str:
    """Name of the library's file on this system."""
    return {"win32": "filter.dll", "darwin": "filter.dylib"}.get(sys.platform, "filter.so")


def find_compilers() -> Iterator[list[str]]:
    """List the commands to try: ``$CC``, the system's ``cc``, then Zig's from the PyPI package ziglang.

    None names the processor of this machine: a library serves every processor of its kind.
    """
    if os.environ.get("CC"):
        yield shlex.split(os.environ["CC"])
    if sys.platform != "win32" and shutil.which("cc"):  # GCC on Windows aligns the stack to less than vectors need
        yield ["cc"]
    if importlib.util.find_spec("ziglang"):
        yield [sys.executable, "-m", "ziglang", "cc", "-mcpu=baseline"]


def build_library(folder: Path) -> Path | None:
    """Compile the library with the first compiler that can, and say on standard error if none could.

    Args:
        folder: where the library is written. A library that is there already is replaced.

    Returns:
        the library's file, or None.
    """
    extra = {"win32": ["-s"], "darwin": ["-fPIC"]}.get(sys.platform, ["-fPIC", "-s"])
    for compiler in find_compilers():
        try:
            with tempfile.TemporaryDirectory(dir=folder) as scratch:
                made = Path(scratch) / library_name()
                subprocess.run([*compiler, *_FLAGS, *extra, str(SOURCE), "-o", str(made)], check=True)
                return made.replace(folder / library_name())  # a process that uses the old one keeps it
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"{shlex.join(compiler)}: {error}", file=sys.stderr)
    print("No C compiler, so the collaborative filter runs in PyTorch: the same result, more slowly.", file=sys.stderr)
    return None


if __name__ == "__main__":
    sys.exit(build_library(SOURCE.parent) is None)
