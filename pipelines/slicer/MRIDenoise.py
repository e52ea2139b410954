#!/usr/bin/env python3
"""A command-line module of 3D Slicer: describes itself with ``--xml``, and hands a volume to ``mri-denoise``.

Slicer brings a Python of its own, without PyTorch. So this file needs nothing but the standard library, and starts the
program ``mri-denoise`` of another environment: the one on ``PATH``, or the one that ``MRI_DENOISE`` names.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

# what Slicer sets for its own Python, and what would lead another one astray
SLICERS_OWN = ("PYTHONHOME", "PYTHONPATH", "PYTHONNOUSERSITE", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")


def main(arguments: list[str]) -> int:
    """Print the description, or denoise; the exit code."""
    if arguments == ["--xml"]:
        print(Path(__file__).with_suffix(".xml").read_text(encoding="utf-8"), end="")
        return 0
    program = os.environ.get("MRI_DENOISE") or shutil.which("mri-denoise")
    if program is None or shutil.which(program) is None:
        print("mri-denoise: not found; install it, and set MRI_DENOISE to the path of the program.", file=sys.stderr)
        return 2
    environment = {name: value for name, value in os.environ.items() if name not in SLICERS_OWN}
    print("<filter-start><filter-name>mri-denoise</filter-name></filter-start>", flush=True)
    # Slicer makes the output's name, and may have made the file
    done = subprocess.run([program, "denoise", *arguments, "--overwrite"], env=environment, check=False)
    print("<filter-end><filter-name>mri-denoise</filter-name></filter-end>", flush=True)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
