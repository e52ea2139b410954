"""``python -m monai.bundle run`` and the pipeline on Denoiser give the same files, byte for byte."""

from __future__ import annotations

import json
from pathlib import Path

import monai.bundle
import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from mri_denoise._monai import import_monai
from mri_denoise.bundles.registry import find_bundle
from mri_denoise.io import discover
from mri_denoise.pipeline.batch import denoise_cases
from mri_denoise.settings import Settings
from mri_denoise.simulation import phantom_affine, write_phantom_dicom
from tests.commands import make_bundle
from tests.phantoms import head

SHAPE = (40, 36, 8)


def nifti(folder: Path) -> None:
    write_series(folder / "volume.nii.gz", 1)


def chunks(folder: Path) -> None:
    """A series of five volumes, which are read two at a time."""
    write_series(folder / "series.nii", 5)


def dicom(folder: Path) -> None:
    write_phantom_dicom(folder / "series", np.clip(phantom(1)[..., 0] / 1000, 0, 1), (1.0, 1.0, 4.0))


def picture(folder: Path) -> None:
    Image.fromarray(np.rint(np.clip(phantom(1)[:, :, 3, 0] / 4, 0, 255)).astype(np.uint8)).save(folder / "slice.png")


def phantom(count: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    clean = 900 * head(SHAPE)[..., None]
    return np.hypot(clean + rng.normal(0, 40, (*SHAPE, count)), rng.normal(0, 40, (*SHAPE, count)))


def write_series(path: Path, count: int) -> None:
    nib.save(nib.Nifti1Image(np.squeeze(phantom(count)).astype(np.int16), phantom_affine(SHAPE)), path)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        (nifti, "hmad_rician"),
        (chunks, "hmad_rician"),
        (dicom, "hmad_rician"),
        (picture, "hmad_rician"),
        (picture, "hmad_salt_pepper"),
    ],
)
def test_both_ways_give_the_same_bytes(tmp_path: Path, source, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = make_bundle(name, tmp_path / "bundle")
    (tmp_path / "in").mkdir()
    source(tmp_path / "in")
    monkeypatch.setattr("mri_denoise.io.chunks.CHUNK_VOXELS", 2 * SHAPE[0] * SHAPE[1] * SHAPE[2])
    monkeypatch.chdir(bundle)
    import_monai(everything=True)
    folders = {"dataset_dir": str(tmp_path / "in"), "output_dir": str(tmp_path / "run")}
    given = {"device": "$torch.device('cpu')", "extras": ["residual"]}
    monai.bundle.run(config_file="configs/inference.yaml", **folders, **given)
    settings = Settings(device="cpu", extras=("residual",))
    outcomes = denoise_cases(find_bundle(str(bundle)), discover(tmp_path / "in")[0], tmp_path / "ours", settings)
    assert [outcome.error for outcome in outcomes] == [None]
    files = [
        sorted(p.relative_to(d) for p in d.rglob("*") if p.is_file()) for d in (tmp_path / "run", tmp_path / "ours")
    ]
    assert files[0] == files[1] and len(files[0]) >= 3
    for file in files[0]:
        one, two = (tmp_path / way / file for way in ("run", "ours"))
        if file.suffix == ".json":
            first, second = (json.loads(path.read_text()) for path in (one, two))
            for name in ("case", "model", "settings", "sigma", "sigma_variation", "inputs", "versions"):
                assert first[name] == second[name], name
        elif file.suffix == ".dcm":
            assert without_times(one) == without_times(two)
        else:
            assert one.read_bytes() == two.read_bytes(), file


def without_times(path: Path) -> str:
    """The data set as text, without when it was made."""
    import pydicom

    ds = pydicom.dcmread(path)
    kept = [str(e) for e in ds.iterall() if "Date" not in str(e.keyword) and "Time" not in str(e.keyword)]
    return "\n".join([*kept, ds.PixelData.hex()])
