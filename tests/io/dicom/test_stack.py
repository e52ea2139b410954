"""What is one volume: place, number and storage may differ, and positions may be rounded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from mri_denoise.io import read
from mri_denoise.io.case import Case
from mri_denoise.io.dicom.discover import discover
from mri_denoise.io.dicom.stack import evenly_spaced, stack_problem
from mri_denoise.io.dicom.to_nifti import as_nifti
from mri_denoise.io.writing import write
from tests.io.derivation import DERIVATION
from tests.io.dicom.phantom import AXIAL, OBLIQUE, Phantom, save, series
from tests.io.dicom.test_time_points import instance


def cases_of(datasets: list[Dataset], folder: Path) -> list[Case]:
    save(datasets, folder)
    cases, skips = discover(sorted(folder.iterdir()), folder)
    assert not skips
    return cases


def with_bits(k: int) -> dict[str, object]:
    return {"BitsStored": 12 + k % 3, "HighBit": 11 + k % 3}


def with_rescale_type(k: int) -> dict[str, object]:
    return {"RescaleSlope": "1", "RescaleIntercept": "0"} | ({"RescaleType": "US"} if k % 2 else {})


def with_slope(k: int) -> dict[str, object]:
    return {"RescaleSlope": f"{1 + 0.1 * k:.1f}", "RescaleIntercept": "0"}


def with_acquisition(k: int) -> dict[str, object]:
    return {"AcquisitionNumber": 20 - k}


@pytest.mark.parametrize("what", [with_bits, with_rescale_type, with_slope, with_acquisition])
def test_storage_and_numbers_do_not_tear_a_volume(tmp_path: Path, what: object) -> None:
    datasets = series(Phantom(slices=6))
    for k, ds in enumerate(datasets):
        for keyword, value in what(k).items():  # type: ignore[operator]
            setattr(ds, keyword, value)
    (case,) = cases_of(datasets, tmp_path)
    assert case.details.shape[2] == 6
    assert case.details.contiguous


def test_bits_allocated_that_vary_are_read_and_written_as_they_are(tmp_path: Path) -> None:
    datasets = series(Phantom(bits=8))
    for ds in datasets[::2]:
        pixels = ds.pixel_array.astype(np.uint8)
        ds.BitsAllocated, ds.PixelData = 8, pixels.tobytes()
    (case,) = cases_of(datasets, tmp_path / "in")
    array = read(case).array
    assert case.details.contiguous and array.max() > 200
    (nifti,), _ = as_nifti([case])
    for target in (case, nifti):
        assert write(target, array, tmp_path / "out" / target.output, DERIVATION)


def test_a_slice_without_the_scale_of_the_others_is_denoised_by_itself(tmp_path: Path) -> None:
    datasets = series(Phantom(slices=5), RescaleSlope="4.2", RescaleIntercept="0")
    del datasets[2].RescaleSlope, datasets[2].RescaleIntercept
    cases = cases_of(datasets, tmp_path)
    assert sorted(case.details.shape[2] for case in cases) == [1, 4]


@pytest.mark.parametrize("keyword", ["EchoTime", "SliceThickness", "RescaleSlope", "PixelSpacing", "DiffusionBValue"])
@pytest.mark.parametrize("words", ["nan", "inf", "1,5"])
def test_what_is_no_number_never_passes_for_one(tmp_path: Path, keyword: str, words: str) -> None:
    """Without it a volume is a volume; but values whose scale is unknown are damage."""
    datasets = series()
    for ds in datasets:
        written = f"{words}\\{words}" if keyword == "PixelSpacing" else words
        ds[keyword] = DataElement(Tag(keyword), "DS", written, already_converted=True)
    save(datasets, tmp_path)
    cases, skips = discover(sorted(tmp_path.iterdir()), tmp_path)
    if keyword == "RescaleSlope":
        assert not cases and all(skip.damaged and "Rescale Slope is no number" in skip.reason for skip in skips)
    elif keyword == "PixelSpacing":
        assert not cases and all("no pixel spacing" in skip.reason for skip in skips)
    else:
        (case,) = cases
        assert case.details.contiguous and np.isfinite(case.details.affine).all()


@pytest.mark.parametrize("slope", ["1e38", "1e-40"])
def test_a_scale_that_leaves_no_values_is_damage(tmp_path: Path, slope: str) -> None:
    save(series(RescaleSlope=slope, RescaleIntercept="0"), tmp_path)
    cases, skips = discover(sorted(tmp_path.iterdir()), tmp_path)
    assert not cases and all(skip.damaged and "no values of an image" in skip.reason for skip in skips)


@pytest.mark.parametrize("orientation", [AXIAL, OBLIQUE])
def test_mpr_slices_with_rounded_positions_and_their_own_acquisition_numbers_are_one_volume(
    tmp_path: Path, orientation: tuple[float, ...]
) -> None:
    datasets = series(Phantom(slices=20, gap=1.25, orientation=orientation), SliceThickness="1.25")
    for k, ds in enumerate(datasets):
        ds.ImagePositionPatient = [f"{float(x):.1f}" for x in ds.ImagePositionPatient]
        ds.AcquisitionNumber = k + 1
    (case,) = cases_of(datasets, tmp_path)
    assert case.details.contiguous
    named, left = as_nifti([case])
    assert len(named) == 1 and not left


@given(gap=st.floats(0.4, 8), slices=st.integers(2, 30), digits=st.sampled_from([1, 2, 6]), angle=st.floats(-0.7, 0.7))
def test_rounding_never_makes_gaps_unequal(gap: float, slices: int, digits: int, angle: float) -> None:
    normal = np.array([0.0, -np.sin(angle), np.cos(angle)])
    cosines = (1.0, 0.0, 0.0, 0.0, float(np.cos(angle)), float(np.sin(angle)))
    stack = [
        instance(k, k, 0, position=tuple(np.round([-60, -60, -9] + k * gap * normal, digits)), orientation=cosines)
        for k in range(slices)
    ]
    assert "unequal" not in (stack_problem(stack) or "")
    assert evenly_spaced(stack)


@given(gap=st.floats(0.4, 8), slices=st.integers(4, 30), data=st.data())
def test_a_missing_slice_is_seen_through_rounding(gap: float, slices: int, data: st.DataObject) -> None:
    missing = data.draw(st.integers(1, slices - 2))
    places = [round(k * gap, 1) for k in range(slices) if k != missing]
    stack = [instance(k, k, 0, position=(0.0, 0.0, place)) for k, place in enumerate(places)]
    assert stack_problem(stack) is not None
    assert not evenly_spaced(stack)


@pytest.mark.parametrize(
    "missing",
    [
        ("ImagePositionPatient", ""),
        ("ImageOrientationPatient", [0] * 6),
        ("ImageOrientationPatient", [1, 0, 0, 1, 0, 0]),
        ("ImageOrientationPatient", [2, 0, 0, 0, 2, 0]),
    ],
)
def test_images_without_position_are_neither_a_volume_nor_a_time_series(
    tmp_path: Path, missing: tuple[str, object]
) -> None:
    import nibabel as nib

    datasets = series()
    for ds in datasets:
        setattr(ds, *missing)
    named, _ = as_nifti(cases_of(datasets, tmp_path / "in"))
    assert len(named) == 4
    for case in named:
        (path,) = write(case, read(case).array, tmp_path / case.output, DERIVATION)
        header = nib.load(path).header
        assert (header["dim"][0], int(header["sform_code"]), int(header["qform_code"])) == (3, 0, 0)
        np.testing.assert_allclose(header.get_zooms(), (1.1, 0.9, 3.0), rtol=1e-6)
