"""The library, compiled from the source as it is now."""

from __future__ import annotations

import os

import pytest

from mri_denoise.inference.native.build import build_library
from mri_denoise.inference.native.library import FilterLibrary, load_library


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> FilterLibrary:
    path = build_library(tmp_path_factory.mktemp("native"))
    if path is None:
        message = "there is no C compiler"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    return load_library(path)
