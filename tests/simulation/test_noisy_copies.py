"""Noisy copies from Python: what is added is what the record says."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from mri_denoise.errors import InputError
from mri_denoise.io import discover
from mri_denoise.simulation.noisy_copies import NoiseParameters, simulate_case


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"noise": "rican"}, "noise rican: must be rician, nc-chi or salt-pepper"),
        ({"noise": "scanner"}, "noise scanner: must be rician, nc-chi or salt-pepper"),
        ({"level": -1.0}, "level -1.0: must be a percentage"),
        ({"level": float("nan")}, "level nan: must be a percentage"),
        ({"noise": "salt-pepper", "level": 101.0}, "level 101.0: must be a percentage"),
        ({"coils": 4}, "coils 4: must be at least 1, and go with the noise nc-chi"),
        ({"noise": "nc-chi", "coils": 0}, "coils 0: must be"),
        ({"coverage": 0.0}, "coverage 0.0: must be above 0"),
        ({"noise": "salt-pepper", "coverage": 0.5}, "coverage 0.5: must be"),
    ],
)
def test_parameters_that_do_not_go_together_are_refused(choices: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        NoiseParameters(**choices)


@pytest.mark.parametrize(("noise", "coils"), [("rician", 1), ("nc-chi", 4), ("salt-pepper", 1)])
def test_each_kind_is_added_and_recorded_under_its_name(tmp_path: Path, noise: str, coils: int) -> None:
    image = np.full((16, 16, 4), 100.0, np.float32)
    nib.save(nib.Nifti1Image(image, np.eye(4)), tmp_path / "a.nii")
    parameters = NoiseParameters(noise=noise, coils=coils)  # type: ignore[arg-type]
    record = simulate_case(discover(tmp_path / "a.nii")[0][0], tmp_path / "out", parameters)
    noisy = nib.load(record.outputs[0]).get_fdata()
    assert record.noise == noise
    changed = np.unique(noisy[noisy != 100])
    assert (len(changed) <= 2) == (noise == "salt-pepper") and (noisy.mean() > 100.5) == (noise == "nc-chi")
