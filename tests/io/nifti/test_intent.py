"""NIfTI files whose header says that they hold no image."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from mri_denoise.errors import InputError
from mri_denoise.io import discover


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize(("code", "says"), [(0, ""), (1001, ""), (5, "statistics"), (1002, "labels"), (1007, "vector")])
def test_what_the_intent_code_calls_no_image_is_left_alone(tmp_path: Path, kind: type, code: int, says: str) -> None:
    image = kind(np.ones((4, 4, 4), np.int16), np.eye(4))
    image.header["intent_code"] = code
    nib.save(image, tmp_path / "a.nii")
    cases, skips = discover(tmp_path)
    assert (len(cases), [says in skip.reason for skip in skips]) == ((0, [True]) if says else (1, []))
    if says:
        with pytest.raises(InputError, match=says):
            discover(tmp_path / "a.nii")
    assert len(discover(tmp_path, force=True)[0]) == 1
