"""Which images are of one patient and series, which are copies, and which identifiers the results get."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import generate_uid

from mri_denoise.io import discover as discover_all
from mri_denoise.io import read
from mri_denoise.io.case import Case
from mri_denoise.io.dicom.discover import discover
from mri_denoise.io.writing import write
from tests.io.derivation import DERIVATION
from tests.io.dicom.phantom import Phantom, save, series, set_stored


def find(folder: Path) -> list[Case]:
    cases, skips = discover(sorted(folder.iterdir()), folder)
    assert not skips
    return cases


def derived(cases: list[Case], folder: Path, factor: float = 0.5) -> list[Dataset]:
    paths = [
        path
        for case in cases
        for path in write(case, (read(case).array * factor).astype(np.float32), folder / case.output, DERIVATION)
    ]
    return [pydicom.dcmread(path) for path in paths]


def two_series(**attributes: list[str]) -> list[Dataset]:
    """Two series of one study, without Series Instance UID."""
    made = []
    for k in range(2):
        for ds in series(Phantom(uid=f"series{k}")):
            del ds.SeriesInstanceUID
            for keyword, values in attributes.items():
                setattr(ds, keyword, values[k])
            made.append(ds)
    return made


@pytest.mark.parametrize("attributes", [{"SeriesNumber": ["5", "6"]}, {"SeriesDescription": ["t1 pre", "t1 post"]}])
def test_series_without_uid_are_told_apart_by_number_and_description(
    tmp_path: Path, attributes: dict[str, list[str]]
) -> None:
    save(two_series(**attributes), tmp_path / "in")
    cases = find(tmp_path / "in")
    assert [case.details.shape[2] for case in cases] == [4, 4]
    assert all(case.details.series_uid == "" for case in cases)
    results = derived(cases, tmp_path / "out")
    assert len({ds.SeriesInstanceUID for ds in results}) == 2


@pytest.mark.parametrize(
    "spellings",
    [
        {"PatientName": ["TEST^PHANTOM^^^", "Test^Phantom"]},
        {"PatientBirthDate": ["1970.01.01", "19700101"]},
        {"PatientID": ["p1", "P1 "]},
        {"PatientID": ["", ""], "PatientName": ["M\xfcller^Anna", "MULLER^ANNA"]},
    ],
)
def test_a_patient_spelt_in_two_ways_is_one(tmp_path: Path, spellings: dict[str, list[str]]) -> None:
    datasets = series()
    for k, ds in enumerate(datasets):
        for keyword, values in spellings.items():
            setattr(ds, keyword, values[k % 2])
    save(datasets, tmp_path / "in")
    (case,) = find(tmp_path / "in")
    assert case.notes == ()
    results = derived([case], tmp_path / "out")
    assert len({ds.SeriesInstanceUID for ds in results}) == 1
    assert {str(ds.PatientName) for ds in results} == {str(ds.PatientName) for ds in datasets}


@pytest.mark.parametrize("keyword", ["PatientID", "PatientName"])
def test_patients_are_not_mixed_though_they_share_a_series_uid(tmp_path: Path, keyword: str) -> None:
    datasets = series()
    for k, ds in enumerate(datasets):
        ds.PatientID, ds.PatientName = "", "A"
        setattr(ds, keyword, "one" if k < 2 else "two")
    save(datasets, tmp_path)
    cases = find(tmp_path)
    assert len(cases) == 2
    assert "2 patients" in cases[0].notes[0]


def test_slices_that_share_a_sop_uid_are_no_copies(tmp_path: Path) -> None:
    datasets = series(SOPInstanceUID="1.2.3")
    paths = save(datasets, tmp_path / "in")
    (case,) = find(tmp_path / "in")
    assert list(case.sources) == paths
    assert case.details.contiguous
    assert "share a SOP Instance UID" in case.notes[0]
    results = derived([case], tmp_path / "out")
    assert len({ds.SOPInstanceUID for ds in results}) == 4
    assert {ds.SourceImageSequence[0].ReferencedSOPInstanceUID for ds in results} == {"1.2.3"}


def test_same_place_and_uid_but_other_pixels_are_no_copies(tmp_path: Path) -> None:
    (first,), (second,) = series(Phantom(slices=1)), series(Phantom(slices=1))
    set_stored(second, second.pixel_array // 2)
    save([first, second], tmp_path)
    assert sum(len(case.sources) for case in find(tmp_path)) == 2


def test_copies_are_dropped_and_named(tmp_path: Path) -> None:
    paths = save(series(), tmp_path)
    shutil.copy(paths[1], tmp_path / "zz copy")
    (case,), (skip,) = discover(sorted(tmp_path.iterdir()), tmp_path)
    assert list(case.sources) == paths
    assert skip.source == tmp_path / "zz copy"
    assert f"copy of {paths[1].name}" in skip.reason


def test_copies_whose_number_of_frames_is_none_are_no_bug(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (ds,) = series(Phantom(slices=1))
        ds["NumberOfFrames"] = DataElement(Tag("NumberOfFrames"), "IS", "1\\2", already_converted=True)
        save([ds], tmp_path / folder)
    (_,), (skip,) = discover(sorted(tmp_path.glob("*/*")), tmp_path)
    assert "copy of" in skip.reason


def test_identifiers_follow_from_what_was_written(tmp_path: Path) -> None:
    save(series(), tmp_path / "in")
    cases = find(tmp_path / "in")
    same = [derived(cases, tmp_path / name)[0].SOPInstanceUID for name in ("a", "b")]
    other = derived(cases, tmp_path / "c", factor=0.25)[0].SOPInstanceUID
    assert same[0] == same[1] != other


def test_own_results_are_left_alone_until_noise_is_added(tmp_path: Path) -> None:
    from dataclasses import replace

    save(series(), tmp_path / "in")
    (case,) = find(tmp_path / "in")
    write(case, read(case).array, tmp_path / "out" / "a", DERIVATION)
    assert len(discover_all(tmp_path / "out")[0]) == 1  # evaluate and others take them
    cases, skips = discover_all(tmp_path / "out", own_results=False)
    assert not cases and {skip.reason for skip in skips} == {"denoised already, by mri-denoise"}
    (again,), _ = discover_all(tmp_path / "out", own_results=True, force=True)
    assert again.notes == ("forced: denoised already, by mri-denoise",)
    write(again, read(again).array, tmp_path / "noisy" / "a", replace(DERIVATION, added_noise=True))
    assert len(discover_all(tmp_path / "noisy", own_results=False)[0]) == 1


def test_an_enhanced_instance_is_known_as_an_own_result(tmp_path: Path) -> None:
    from tests.io.dicom.frames_phantom import enhanced, frames

    save([enhanced(frames())], tmp_path / "in")
    (case,) = find(tmp_path / "in")
    write(case, read(case).array, tmp_path / "out", DERIVATION)
    cases, (skip,) = discover_all(tmp_path / "out", own_results=False)
    assert not cases and skip.reason == "denoised already, by mri-denoise"


def test_series_uids_of_one_file_each_stay_apart(tmp_path: Path) -> None:
    datasets = series()
    for ds in datasets:
        ds.SeriesInstanceUID = generate_uid(entropy_srcs=[ds.SOPInstanceUID])
    save(datasets, tmp_path / "in")
    assert len({ds.SeriesInstanceUID for ds in derived(find(tmp_path / "in"), tmp_path / "out")}) == 4
