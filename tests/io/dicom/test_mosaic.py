"""Siemens mosaics and UIH grids: tiles to slices with their true places, and back into the same tiles."""

from __future__ import annotations

import subprocess
import warnings
from collections import Counter
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import RLELossless

from mri_denoise.io import read
from mri_denoise.io.case import Case
from mri_denoise.io.dicom.discover import discover
from mri_denoise.io.writing import write
from tests.io.derivation import DERIVATION
from tests.io.dicom.frames_phantom import grid, mosaic
from tests.io.dicom.phantom import AXIAL, OBLIQUE
from tests.programs import need

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # nibabel calls its DICOM readers experimental
    from nibabel.nicom.dicomwrappers import wrapper_from_data

SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)


@pytest.fixture
def volume() -> np.ndarray:
    return np.random.default_rng(5).integers(1, 4096, (7, 10, 12)).astype(np.uint16)


def only_case(folder: Path, *datasets: Dataset) -> Case:
    folder.mkdir(parents=True, exist_ok=True)
    for k, ds in enumerate(datasets):
        ds.save_as(folder / f"M{k}", enforce_file_format=True)
    (case,), skips = discover(sorted(folder.iterdir()), folder)
    assert skips == []
    return case


def world(case: Case, array: np.ndarray) -> dict[tuple[float, ...], float]:
    """Values by the place of their voxel in mm."""
    corners = [(i, j, k) for i in (0, 11) for j in (0, 9) for k in range(array.shape[3])]
    places = [np.round(case.details.affine @ [*c, 1], 2)[:3] for c in corners]
    return {tuple(float(x) + 0.0 for x in p): float(array[(0, *c)]) for p, c in zip(places, corners, strict=True)}


@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.parametrize("orientation", [AXIAL, OBLIQUE, SAGITTAL])
def test_tiles_lie_where_nibabel_puts_them(
    tmp_path: Path, volume: np.ndarray, orientation: tuple[float, ...], flipped: bool
) -> None:
    ds = mosaic(volume, orientation=orientation, flipped=flipped)
    case = only_case(tmp_path, ds)
    array = read(case).array
    assert array.shape == (1, 12, 10, 7)
    assert case.details.contiguous
    wrapper = wrapper_from_data(ds)
    theirs = np.diag([-1.0, -1.0, 1.0, 1.0]) @ wrapper.affine
    data = wrapper.get_data()
    for place, value in world(case, array).items():
        i, j, k = np.rint((np.linalg.inv(theirs) @ [*place, 1])[:3]).astype(int)
        assert data[i, j, k] == value


@pytest.mark.parametrize("flipped", [False, True])
def test_dcm2niix_finds_the_same_places_before_and_after(tmp_path: Path, volume: np.ndarray, flipped: bool) -> None:
    program = need("dcm2niix")
    case = only_case(tmp_path / "in", mosaic(volume, flipped=flipped))
    array = read(case).array
    write(case, array / 2, tmp_path / "out", DERIVATION)
    for folder in ("in", "out"):
        command = [program, "-z", "n", "-b", "n", "-f", f"nii_{folder}", "-o", str(tmp_path), str(tmp_path / folder)]
        subprocess.run(command, check=True, capture_output=True)
    source, result = nib.load(tmp_path / "nii_in.nii"), nib.load(tmp_path / "nii_out.nii")
    np.testing.assert_array_equal(source.affine, result.affine)
    np.testing.assert_array_equal(np.rint(np.asarray(source.dataobj) / 2), np.asarray(result.dataobj))
    found = np.asarray(source.dataobj)
    for place, value in world(case, array).items():
        i, j, k = np.rint((np.linalg.inv(source.affine) @ [*place, 1])[:3]).astype(int)
        assert found[i, j, k] == value


def test_changed_tiles_go_back_and_the_blank_ones_stay_blank(tmp_path: Path, volume: np.ndarray) -> None:
    source = mosaic(volume)
    before = source.pixel_array.copy()
    case = only_case(tmp_path / "in", source)
    (path,) = write(case, read(case).array / 2, tmp_path / "out", DERIVATION)
    result = pydicom.dcmread(path)
    np.testing.assert_array_equal(result.pixel_array, np.rint(before / 2))
    assert (result.pixel_array[20:, 12:] == 0).all()
    assert list(result.ImageType) == ["DERIVED", "SECONDARY", "M", "ND", "MOSAIC"]
    assert result.private_block(0x0029, "SIEMENS CSA HEADER")[0x10].value[:4] == b"SV10"
    (case,), _ = discover([path], path.parent)  # what was written is a mosaic again
    assert case.details.array_shape == (1, 12, 10, 7)


def test_unchanged_tiles_are_bit_for_bit_and_compression_goes(tmp_path: Path, volume: np.ndarray) -> None:
    plain, packed = mosaic(volume), mosaic(volume)
    packed.compress(RLELossless, generate_instance_uid=False)
    case = only_case(tmp_path / "in", packed)
    (path,) = write(case, read(case).array, tmp_path / "out", DERIVATION)
    assert pydicom.dcmread(path).PixelData == plain.PixelData


def test_mosaics_at_one_place_are_time_points_even_when_nothing_tells_them_apart(
    tmp_path: Path, volume: np.ndarray
) -> None:
    first, second = mosaic(volume, number=1), mosaic(volume[::-1], number=2)
    second.InstanceNumber = second.AcquisitionNumber = 1
    for k, ds in enumerate((first, second)):
        ds.save_as(tmp_path / f"M{k}", enforce_file_format=True)
    cases, _ = discover(sorted(tmp_path.iterdir()), tmp_path)
    assert [case.details.array_shape for case in cases] == [(1, 12, 10, 7)] * 2
    assert not np.array_equal(read(cases[0]).array, read(cases[1]).array)


@pytest.mark.parametrize("how", ["no header", "cut header", "odd size"])
def test_a_mosaic_that_is_not_described_is_refused(tmp_path: Path, volume: np.ndarray, how: str) -> None:
    ds = mosaic(volume)
    if how == "no header":
        del ds[0x00290010], ds[0x00291008], ds[0x00291010]
    elif how == "cut header":
        ds[0x00291010].value = ds[0x00291010].value[:120]
    else:
        ds.Rows, ds.PixelData = ds.Rows - 1, ds.PixelData[: -2 * ds.Columns]
    ds.save_as(tmp_path / "M", enforce_file_format=True)
    cases, (skip,) = discover([tmp_path / "M"], tmp_path)
    assert not cases
    assert ("tiles" if how == "odd size" else "CSA header") in skip.reason
    assert "\n" not in skip.reason


def test_dciodvfy_has_nothing_new_to_say(tmp_path: Path, volume: np.ndarray) -> None:
    program = need("dciodvfy")
    case = only_case(tmp_path / "in", mosaic(volume))
    (path,) = write(case, read(case).array / 2, tmp_path / "out", DERIVATION)

    def messages(file: Path) -> Counter[str]:
        done = subprocess.run([program, str(file)], capture_output=True, text=True, errors="replace", check=False)
        return Counter(done.stderr.splitlines())

    assert messages(case.sources[0])["MRImage"] == 1
    assert messages(path) - messages(case.sources[0]) == Counter()


def test_a_grid_takes_its_places_from_the_items_of_its_sequence(tmp_path: Path, volume: np.ndarray) -> None:
    cosines = np.array(OBLIQUE)
    step = -3.0 * np.cross(cosines[:3], cosines[3:])
    positions = np.array([1.0, 2.0, 3.0]) + np.arange(7)[:, None] * step
    source = grid(volume, positions)
    case = only_case(tmp_path / "in", source)
    array = read(case).array
    assert case.details.contiguous
    ras = np.diag([-1.0, -1.0, 1.0])
    for k in range(7):  # slices run against the normal, so the last tile comes first
        np.testing.assert_array_equal(array[0, :, :, k], volume[6 - k].T)
        np.testing.assert_allclose(case.details.affine @ [0, 0, k, 1], [*(ras @ positions[6 - k]), 1], atol=1e-4)
    (path,) = write(case, array / 2, tmp_path / "out", DERIVATION)
    np.testing.assert_array_equal(pydicom.dcmread(path).pixel_array, np.rint(source.pixel_array / 2))


@pytest.mark.parametrize(
    ("slices", "size"), [(20, (5, 4)), (20, (4, 5)), (20, (5, 5)), (6, (2, 3)), (7, (3, 3)), (2, (1, 2)), (1, (1, 1))]
)
def test_a_grid_need_not_be_square(tmp_path: Path, slices: int, size: tuple[int, int]) -> None:
    volume = np.random.default_rng(5).integers(1, 4096, (slices, 8, 8)).astype(np.uint16)
    source = grid(volume, np.arange(slices)[:, None] * [0.0, 0.0, 3.0], orientation=AXIAL, size=size)
    source.PixelSpacing = ["1", "1"]
    case = only_case(tmp_path / "in", source)
    array = read(case).array
    np.testing.assert_array_equal(array[0], volume.transpose(2, 1, 0))
    (path,) = write(case, array / 2, tmp_path / "out", DERIVATION)
    np.testing.assert_array_equal(pydicom.dcmread(path).pixel_array, np.rint(source.pixel_array / 2))


def test_a_grid_whose_items_do_not_match_is_refused(tmp_path: Path, volume: np.ndarray) -> None:
    ds = grid(volume, np.zeros((7, 3)))
    ds.private_block(0x0065, "Image Private Header")[0x50].value = "8"
    ds.save_as(tmp_path / "G", enforce_file_format=True)
    cases, (skip,) = discover([tmp_path / "G"], tmp_path)
    assert not cases
    assert "UIH grid" in skip.reason
