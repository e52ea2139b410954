"""Pixels and geometry of DICOM volumes, against nibabel's formulas, pydicom's own files and dcm2niix."""

from __future__ import annotations

import itertools
import subprocess
import warnings
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file

from mri_denoise.errors import InputError
from mri_denoise.io import read
from mri_denoise.io.case import Case
from mri_denoise.io.dicom.discover import discover
from mri_denoise.volume import Volume
from tests.io.dicom.phantom import AXIAL, Phantom, save, series, set_stored
from tests.programs import need

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # nibabel calls its DICOM readers experimental
    from nibabel.nicom.dicomwrappers import wrapper_from_file


def one_volume(files: list[Path]) -> tuple[Case, Volume]:
    (case,), _ = discover(files, files[0].parent)
    return case, read(case)


@pytest.mark.parametrize("orientation", [AXIAL, Phantom().orientation, (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)])
def test_affine_is_that_of_nibabel(tmp_path: Path, orientation: tuple[float, ...]) -> None:
    paths = save(series(Phantom(orientation=orientation)), tmp_path)
    _, volume = one_volume(paths)
    to_ras = np.diag([-1.0, -1.0, 1.0, 1.0])
    for k, path in enumerate(paths):
        # nibabel's affine of a slice takes (row, column); ours takes (column, row).
        expected = to_ras @ wrapper_from_file(path).affine
        corner = np.array([7.0, 3.0, 0.0, 1.0])
        np.testing.assert_allclose(volume.affine @ (corner + [0, 0, k, 0]), expected @ corner[[1, 0, 2, 3]], atol=1e-4)
    assert volume.slice_axis == 2
    assert volume.contiguous


@pytest.mark.parametrize("orientation", [AXIAL, Phantom().orientation])
def test_voxels_lie_where_dcm2niix_puts_them(tmp_path: Path, orientation: tuple[float, ...]) -> None:
    program = need("dcm2niix")
    paths = save(series(Phantom(orientation=orientation)), tmp_path / "in")
    _, volume = one_volume(paths)
    command = [program, "-z", "n", "-b", "n", "-f", "out", "-o", str(tmp_path), str(tmp_path / "in")]
    subprocess.run(command, check=True, capture_output=True)
    image = nib.load(tmp_path / "out.nii")
    found = np.asarray(image.dataobj)
    to_theirs = np.linalg.inv(image.affine) @ volume.affine
    for voxel in itertools.product((0, 5, 11), (0, 9), (0, 3)):
        i, j, k = np.rint((to_theirs @ [*voxel, 1])[:3]).astype(int)
        assert found[i, j, k] == volume.array[(0, *voxel)]


@pytest.mark.parametrize(("bits", "signed"), [(12, False), (12, True), (16, False), (16, True)])
def test_pixels_are_columns_by_rows_by_slices(tmp_path: Path, bits: int, signed: bool) -> None:
    paths = save(series(Phantom(bits=bits, signed=signed)), tmp_path)
    _, volume = one_volume(paths)
    assert volume.array.dtype == np.float32
    for k, path in enumerate(paths):
        np.testing.assert_array_equal(volume.array[0, :, :, k], pydicom.dcmread(path).pixel_array.T)


def test_slope_and_intercept_of_each_slice(tmp_path: Path) -> None:
    datasets = series()
    for k, ds in enumerate(datasets):
        ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType = f"{0.5 + k}", f"{-10 * k}", "US"
    _, volume = one_volume(save(datasets, tmp_path))
    for k, ds in enumerate(datasets):
        np.testing.assert_allclose(volume.array[0, :, :, k], ds.pixel_array.T * (0.5 + k) - 10 * k, rtol=1e-6)


def test_junk_above_the_stored_bits_is_masked(tmp_path: Path) -> None:
    datasets = series(Phantom(slices=1))
    clean = datasets[0].pixel_array.copy()
    set_stored(datasets[0], clean | 0xA000)
    _, volume = one_volume(save(datasets, tmp_path))
    np.testing.assert_array_equal(volume.array[0, :, :, 0], clean.T)


@pytest.mark.parametrize(
    "name",
    [
        *("MR_small_RLE.dcm", "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm", "MR_small_implicit.dcm"),
        *("MR_small_bigendian.dcm", "MR_small_expb.dcm", "MR_small_padded.dcm"),
    ],
)
def test_every_encoding_gives_the_same_pixels(name: str) -> None:
    _, expected = one_volume([Path(str(get_testdata_file("MR_small.dcm")))])
    _, volume = one_volume([Path(str(get_testdata_file(name)))])
    np.testing.assert_array_equal(volume.array, expected.array)
    assert expected.array.shape == (1, 64, 64, 1)


def test_file_that_changed_or_broke_since_discovery_is_an_input_error(tmp_path: Path) -> None:
    paths = save(series(), tmp_path)
    (case,), _ = discover(paths, tmp_path)
    whole = paths[1].read_bytes()
    for content in (b"", whole[:-40], b"text" * 100):
        paths[1].write_bytes(content)
        with pytest.raises(InputError) as caught:
            read(case)
        assert str(paths[1]) in str(caught.value)
        assert "\n" not in str(caught.value)
    paths[1].unlink()
    with pytest.raises(InputError, match="cannot be read"):
        read(case)


def test_compressed_pixels_that_contradict_the_header_are_an_input_error(tmp_path: Path) -> None:
    ds = pydicom.dcmread(str(get_testdata_file("MR_small_jp2klossless.dcm")))
    ds.Rows = 32
    ds.save_as(tmp_path / "a.dcm")
    (case,), _ = discover([tmp_path / "a.dcm"], tmp_path)
    with pytest.raises(InputError, match=r"a\.dcm"):
        read(case)
