"""DICOM written as NIfTI: the values and places that dcm2niix gives for the same files."""

from __future__ import annotations

import subprocess
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from mri_denoise.io import read
from mri_denoise.io.dicom.discover import discover
from mri_denoise.io.dicom.to_nifti import as_nifti
from mri_denoise.io.writing import write
from tests.io.derivation import DERIVATION
from tests.io.dicom.frames_phantom import enhanced, frames, mosaic
from tests.io.dicom.phantom import AXIAL, OBLIQUE, Phantom, save, series
from tests.programs import need


def converted(folder: Path, output: Path) -> list[Path]:
    """Write everything in a folder unchanged."""
    cases, skips = discover(sorted(folder.iterdir()), folder)
    assert not skips
    named, left = as_nifti(cases)
    assert not left
    return [path for case in named for path in write(case, read(case).array, output / case.output, DERIVATION)]


def objects(kind: str) -> list[Dataset]:
    rng = np.random.default_rng(2)
    if kind == "classic":
        return series(Phantom(orientation=OBLIQUE), RescaleSlope="0.5", RescaleIntercept="-100")
    if kind == "signed":
        return series(Phantom(orientation=AXIAL, signed=True, bits=16))
    if kind == "scaled":
        made = series(Phantom())
        for k, ds in enumerate(made):
            ds.RescaleSlope, ds.RescaleIntercept = f"{k + 1}", f"{-k}"
        return made
    if kind == "unsigned":
        return series(Phantom(bits=16))
    if kind == "enhanced":
        return [enhanced(frames())]
    volumes = rng.integers(0, 4096, (2, 7, 10, 12)).astype(np.uint16)
    return [mosaic(volume, number=k, flipped=True) for k, volume in enumerate(volumes, start=1)]


@pytest.mark.parametrize("kind", ["classic", "signed", "scaled", "unsigned", "enhanced", "mosaic"])
def test_values_and_places_are_those_of_dcm2niix(tmp_path: Path, kind: str) -> None:
    program = need("dcm2niix")
    save(objects(kind), tmp_path / "in")
    (path,) = converted(tmp_path / "in", tmp_path / "out")
    command = [program, "-z", "n", "-b", "n", "-x", "i", "-f", "ref", "-o", str(tmp_path), str(tmp_path / "in")]
    subprocess.run(command, check=True, capture_output=True)
    ours, theirs = (nib.as_closest_canonical(nib.load(p)) for p in (path, tmp_path / "ref.nii"))
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours.affine, theirs.affine, atol=1e-4)
    np.testing.assert_array_equal(ours.get_fdata(), theirs.get_fdata())
    found = nib.load(path)
    assert found.get_data_dtype() == theirs.get_data_dtype()
    assert np.linalg.det(found.affine[:3, :3]) < 0
    assert found.header.get_xyzt_units() == ("mm", "sec")


def test_time_points_become_one_file_and_echoes_do_not(tmp_path: Path) -> None:
    for t in range(3):
        for echo in (30, 60):
            made = series(EchoTime=f"{echo}", EchoNumbers=echo // 30, TemporalPositionIdentifier=t + 1)
            for ds in made:
                ds.SOPInstanceUID = generate_uid(entropy_srcs=[ds.SOPInstanceUID, f"{t} {echo}"])
                ds.PixelData = (np.frombuffer(ds.PixelData, "<u2") // (t + echo)).astype("<u2").tobytes()
            save(made, tmp_path / "in")
    paths = converted(tmp_path / "in", tmp_path / "out")
    assert [path.name for path in paths] == ["5_t2_tse_cor_1.nii.gz", "5_t2_tse_cor_2.nii.gz"]
    images = [nib.load(path) for path in paths]
    assert [image.shape for image in images] == [(12, 10, 4, 3)] * 2
    assert images[0].header["pixdim"][4] == 3.0
    means = np.asarray(images[0].dataobj).mean(axis=(0, 1, 2))
    assert (np.diff(means) < 0).all()  # each time point was divided by more
    assert np.asarray(images[1].dataobj).max() < np.asarray(images[0].dataobj).max()


def test_frames_that_differ_in_more_than_time_go_to_files_of_their_own(tmp_path: Path) -> None:
    save([enhanced(frames(time=1) + frames(time=2) + frames(echo=90.0))], tmp_path / "in")
    paths = converted(tmp_path / "in", tmp_path / "out")
    assert [nib.load(path).shape for path in paths] == [(12, 10, 4, 2), (12, 10, 4)]


def test_slices_at_unequal_distances_are_left_to_dicom(tmp_path: Path) -> None:
    made = series(Phantom(slices=6))
    del made[2]
    save(made, tmp_path / "in")
    cases, _ = discover(sorted((tmp_path / "in").iterdir()), tmp_path / "in")
    named, (skip,) = as_nifti(cases)
    assert named == []
    assert "unequal distances" in skip.reason


def test_a_tilted_stack_keeps_its_shear(tmp_path: Path) -> None:
    made = series(Phantom(tilt=0.8))
    save(made, tmp_path / "in")
    (path,) = converted(tmp_path / "in", tmp_path / "out")
    affine = nib.load(path).affine
    last = np.array([float(x) for x in made[3].ImagePositionPatient]) * [-1, -1, 1]
    np.testing.assert_allclose((affine @ [0, 9, 3, 1])[:3], last, atol=1e-3)
