"""The head phantom: reproducible, complete, and readable by other programs."""

from __future__ import annotations

import subprocess
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
import SimpleITK

from mri_denoise.simulation import (
    CONTRASTS,
    TISSUES,
    head_phantom,
    phantom_affine,
    tissue_fractions,
    write_phantom_dicom,
    write_phantom_nifti,
)
from tests.phantoms import head
from tests.programs import need

SMALL = (48, 60, 48)  # voxels of 4 mm


@pytest.fixture(scope="module")
def fractions() -> dict[str, np.ndarray]:
    return tissue_fractions(TISSUES, SMALL)


@pytest.mark.parametrize("contrast", list(CONTRASTS))
def test_values_lie_between_0_and_1_and_air_is_0(contrast: str) -> None:
    found = head(SMALL, contrast)
    assert found.shape == SMALL and found.dtype == np.float32
    assert found.min() == 0 and 0.7 < found.max() <= 1
    assert not found[[0, -1]].any() and not found[:, [0, -1]].any() and not found[:, :, -1].any()
    assert 0.25 < (found > 0.02).mean() < 0.7


def test_the_same_seed_gives_the_same_head_and_another_seed_another() -> None:
    first = head(SMALL)
    np.testing.assert_array_equal(first, head_phantom(SMALL, seed=0))
    assert np.abs(first - head_phantom(SMALL, seed=5)).max() > 0.2


def test_every_tissue_is_there_and_shares_add_up(fractions: dict[str, np.ndarray]) -> None:
    millilitres = {name: float(share.sum()) * 4**3 / 1000 for name, share in fractions.items()}
    assert millilitres["lesion"] > 0.1 and millilitres["vessel"] > 2 and millilitres["pallidum"] > 1
    assert 400 < millilitres["grey"] < 1000 and 300 < millilitres["white"] < 1000 and 100 < millilitres["csf"] < 600
    assert min(millilitres[n] for n in ("fat", "skin", "muscle", "bone", "marrow", "deep grey")) > 10
    total = np.sum(list(fractions.values()), axis=0)
    assert total.max() < 1 + 1e-4 and total.min() >= 0


def test_the_image_is_the_tissues_signals_weighted_by_their_shares(fractions: dict[str, np.ndarray]) -> None:
    plain = head_phantom(SMALL, "T2w", texture=False)
    mixed = sum(CONTRASTS["T2w"][name] * share for name, share in fractions.items())
    np.testing.assert_allclose(plain, mixed, atol=1e-5)


def test_borders_have_partial_volume(fractions: dict[str, np.ndarray]) -> None:
    skin = sum(fractions.values())
    partial = (skin > 0.05) & (skin < 0.95)
    assert partial.mean() > 0.01


def test_texture_varies_the_signal_within_white_matter(fractions: dict[str, np.ndarray]) -> None:
    white = fractions["white"] > 0.999
    assert head_phantom(SMALL, texture=False)[white].std() < 1e-3
    assert 0.02 < head(SMALL)[white].std() / CONTRASTS["T1w"]["white"] < 0.15


def test_thick_slices_are_averages_of_thin_ones() -> None:
    thin, thick = head_phantom((48, 60, 96), texture=False), head_phantom((48, 60, 24), texture=False)
    averaged = thin.reshape(48, 60, 24, 4).mean(axis=3)
    assert np.abs(averaged - thick).mean() < 0.005
    np.testing.assert_allclose(phantom_affine((48, 60, 24)).diagonal()[:3], (4, 4, 8))


def test_bad_requests_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown contrast"):
        head_phantom(SMALL, "T9w")
    with pytest.raises(ValueError, match="unknown tissue"):
        tissue_fractions(["bones"], SMALL)
    with pytest.raises(ValueError, match="8 voxels"):
        head_phantom((4, 80, 64))


def test_nifti_holds_the_values_and_a_full_header(tmp_path: Path) -> None:
    array = head((32, 40, 20))
    image = nib.load(write_phantom_nifti(tmp_path / "head.nii.gz", array, (6, 6, 9.6)))
    header = image.header
    assert (header["sform_code"], header["qform_code"]) == (3, 1)
    assert image.dataobj.slope == 0.5 and image.dataobj.inter == 7
    assert header.get_xyzt_units() == ("mm", "sec")
    assert header["cal_max"] == 1000 and header["toffset"] == 1.5 and len(header.extensions) == 1
    np.testing.assert_allclose(image.affine, phantom_affine(array.shape))
    np.testing.assert_allclose(image.get_qform(), image.get_sform(), atol=1e-3)
    np.testing.assert_allclose(image.get_fdata(), array * 1000, atol=0.2501)
    assert [p.name for p in tmp_path.iterdir()] == ["head.nii.gz"]


def test_simpleitk_reads_the_dicom_series_with_the_geometry_of_the_nifti(tmp_path: Path) -> None:
    array, spacing = head((32, 40, 20)), (6.0, 6.0, 9.6)
    write_phantom_dicom(tmp_path / "series", array, spacing, seed=2)
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path / "series")))
    image = reader.Execute()
    assert image.GetSize() == (32, 40, 20)
    assert image.GetSpacing() == pytest.approx(spacing)
    affine = phantom_affine(array.shape)
    random = np.random.default_rng(0)
    for _ in range(20):
        i, j, k = (int(random.integers(n)) for n in array.shape)
        x, y, z, _ = affine @ [i, j, k, 1]
        pixel = image.TransformPhysicalPointToIndex((-x, -y, z))
        assert image[pixel] == pytest.approx(array[i, j, k] * 3000, abs=0.51)


def test_the_dicom_series_is_12_bit_unsigned_reproducible_and_clipped(tmp_path: Path) -> None:
    array = np.linspace(-0.2, 2, 10 * 12 * 8).reshape(10, 12, 8)
    first = write_phantom_dicom(tmp_path / "a", array, (1, 2, 3), seed=1)
    again = write_phantom_dicom(tmp_path / "b", array, (1, 2, 3), seed=1)
    other = write_phantom_dicom(tmp_path / "c", array, (1, 2, 3), seed=2)
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in again]
    datasets = [pydicom.dcmread(p) for p in first]
    assert len({d.SOPInstanceUID for d in datasets}) == 8 and len({d.SeriesInstanceUID for d in datasets}) == 1
    assert datasets[0].SeriesInstanceUID != pydicom.dcmread(other[0]).SeriesInstanceUID
    assert {(d.BitsStored, d.PixelRepresentation) for d in datasets} == {(12, 0)}
    assert min(d.pixel_array.min() for d in datasets) == 0 and max(d.pixel_array.max() for d in datasets) == 4095
    assert datasets[0].PixelSpacing == [2, 1]


def test_dciodvfy_has_nothing_to_say_about_the_dicom_series(tmp_path: Path) -> None:
    program = need("dciodvfy")
    path = write_phantom_dicom(tmp_path, head((32, 40, 20)), (6, 6, 9.6))[10]
    result = subprocess.run([program, str(path)], capture_output=True, text=True, check=False)
    assert (result.stdout + result.stderr).split() == ["MRImage"]
