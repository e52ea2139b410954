"""Where there is no compiled library, or none that works, the PyTorch form runs and the description says so."""

from __future__ import annotations

import ctypes.util
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from mri_denoise.inference import native
from mri_denoise.inference.collaborative_filter import filter_blocks
from mri_denoise.inference.native import library as loader
from mri_denoise.inference.native.build import library_name


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """Where the library of this installation is sought; it is not there yet."""
    monkeypatch.delenv(loader.PLAIN, raising=False)
    monkeypatch.setattr(loader, "LIBRARY", tmp_path / library_name())
    loader.installed_library.cache_clear()
    yield tmp_path / library_name()
    loader.installed_library.cache_clear()


def _filtered() -> torch.Tensor:
    torch.manual_seed(0)
    clean = torch.linspace(0.2, 0.8, 24).expand(24, 24, 24)
    noise = 0.05 * torch.randn(24, 24, 24)
    return filter_blocks(clean + noise, clean + 0.1 * noise, torch.tensor(0.05), 2)


def test_without_a_library_pytorch_filters(place):
    assert not native.available()
    assert native.description() == "PyTorch, the compiled library is missing"
    assert _filtered().std() > 0


def test_with_a_library_it_filters_unless_switched_off(place, library, monkeypatch):
    shutil.copy(library.handle._name, place)
    assert native.available()
    assert native.description() == f"compiled, {library.instruction_sets[0]}"
    compiled = _filtered()
    monkeypatch.setenv(loader.PLAIN, "1")
    assert not native.available()
    assert native.description() == "PyTorch, MRI_DENOISE_PLAIN_FILTER is set"
    plain = _filtered()
    torch.testing.assert_close(compiled, plain, rtol=0, atol=2e-6)
    assert not torch.equal(compiled, plain)  # it was another form


def test_a_file_that_is_no_library_is_told(place):
    place.write_bytes(b"not a library")
    assert not native.available()
    assert native.description() == "PyTorch, the compiled library cannot be loaded"


def test_another_library_is_refused():
    other = ctypes.util.find_library("c")
    if other is None:
        pytest.skip("the C library is not found by its name here")
    with pytest.raises(OSError, match="another library"):
        loader.load_library(Path(other))
