"""Compile the collaborative filter while the package is built, if a C compiler is there."""

from __future__ import annotations

import importlib.util
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NATIVE = "mri_denoise/inference/native"


class FilterBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Put the library into the wheel, or beside the source if the installation is editable.

    The wheel is for this platform then, and for any version of Python 3: the library is called by ctypes. Without a
    compiler the wheel is pure Python.
    """

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, before the wheel's files are collected."""
        source = Path(self.root) / NATIVE
        build_library = _load(source / "build.py").build_library
        if version == "editable":
            build_library(source)
            return
        self.folder = tempfile.TemporaryDirectory()  # until finalize
        library = build_library(Path(self.folder.name))
        if library is not None:
            build_data["force_include"][str(library)] = f"{NATIVE}/{library.name}"
            build_data["pure_python"] = False
            platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
            build_data["tag"] = f"py3-none-{platform}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the library that went into the wheel."""
        if version != "editable":
            self.folder.cleanup()


def _load(path: Path) -> Any:
    """Load a module by its file: what the package requires is not installed while it is built."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
