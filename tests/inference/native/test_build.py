"""Which compilers are tried, and what happens where none works."""

from __future__ import annotations

import sys

from mri_denoise.inference.native.build import build_library, find_compilers, library_name
from mri_denoise.inference.native.library import LIBRARY


def test_the_compiler_that_is_named_is_tried_first(monkeypatch):
    monkeypatch.setenv("CC", "some compiler")
    assert next(find_compilers()) == ["some", "compiler"]


def test_the_library_is_sought_where_it_is_built():
    assert LIBRARY.name == library_name()


def test_without_a_compiler_nothing_is_built_and_nothing_is_lost(monkeypatch, tmp_path, capfd):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CC", f"{sys.executable} -c exit(1)")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)  # no ziglang
    (tmp_path / library_name()).write_text("of an earlier build")
    assert build_library(tmp_path) is None
    assert "No C compiler, so the collaborative filter runs in PyTorch" in capfd.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [library_name()]


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path):
    assert build_library(tmp_path / "missing") is None
