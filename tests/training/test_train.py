"""Training: what is refused before anything is written."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mri_denoise.bundles.registry import find_bundle
from mri_denoise.errors import InputError
from mri_denoise.training.train import train_listed


def test_training_without_tensorboard_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)  # as if it were not installed
    with pytest.raises(InputError, match=r"TensorBoard.*mri-denoise\[train\]") as error:
        train_listed(find_bundle("rician"), tmp_path, tmp_path / "out")
    assert "\n" not in str(error.value) and not (tmp_path / "out").exists()
