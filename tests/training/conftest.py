"""A data set of one volume and its reference."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import pytest

from mri_denoise.simulation import phantom_affine
from tests.phantoms import head

SHAPE = (72, 80, 16)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    entries = []
    for name in ("volumes/train/a_1_T1w.nii.gz", "references/train/a_1_T1w.nii.gz"):
        (folder / name).parent.mkdir(parents=True)
        nib.save(nib.Nifti1Image(900 * head(SHAPE), phantom_affine(SHAPE)), folder / name)
        entries.append({"image": name, "contrast": "T1w"})
    (folder / "datalist.json").write_text(json.dumps({"training": entries}))
    return folder
