"""Enhanced MR: frames sorted into volumes, and a derived instance in which only the right frames change."""

from __future__ import annotations

import copy
import dataclasses
import random
import subprocess
from collections import Counter
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)

from mri_denoise.errors import InputError
from mri_denoise.io import read
from mri_denoise.io.case import Case
from mri_denoise.io.dicom.discover import discover
from mri_denoise.io.writing import write
from tests.io.derivation import DERIVATION
from tests.io.dicom.frames_phantom import Frame, enhanced, frames
from tests.io.dicom.phantom import Phantom
from tests.programs import need


def saved(*datasets: Dataset, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for k, ds in enumerate(datasets):
        ds.save_as(folder / f"E{k}", enforce_file_format=True)
    return folder


def found(folder: Path, **options: bool) -> list[Case]:
    return discover([path for path in folder.rglob("*") if path.is_file()], folder, **options)[0]


def halved(array: np.ndarray) -> np.ndarray:
    return (array * np.float32(0.5)).astype(np.float32)


def derived(ds: Dataset, folder: Path, **options: bool) -> Dataset:
    """Write half of every value of the only case of one file."""
    (case,) = found(saved(ds, folder=folder / "in"), **options)
    (path,) = write(case, halved(read(case).array), folder / "out", DERIVATION)
    return pydicom.dcmread(path)


def messages(path: Path) -> Counter[str]:
    """What dciodvfy says of a file, except for one mistake of its own.

    It takes the attributes of the MR Pulse Sequence module for forbidden in derived images, but they "may be present
    otherwise" (PS3.3 C.8.13.4).
    """
    done = subprocess.run([need("dciodvfy"), str(path)], capture_output=True, text=True, errors="replace", check=False)
    mistake = "Attribute present when condition unsatisfied (which may not be present otherwise) Type 1C"
    return Counter(
        line for line in done.stderr.splitlines() if not (mistake in line and line.endswith("Module=<MRPulseSequence>"))
    )


def test_frames_of_two_time_points_in_any_order_are_two_volumes_of_one_array(tmp_path: Path) -> None:
    plan = frames(time=1, slope=0.5, intercept=-20) + frames(time=2)
    random.Random(3).shuffle(plan)
    ds = enhanced(plan)
    (case,) = found(saved(ds, folder=tmp_path))
    volume = read(case)
    assert volume.array.shape == (2, 12, 10, 4)
    assert volume.contiguous
    for pixels, frame in zip(ds.pixel_array, plan, strict=True):
        real = (pixels * frame.slope + frame.intercept).T
        np.testing.assert_array_equal(volume.array[frame.time - 1, :, :, frame.z], real)


def test_instances_that_are_time_points_are_cases_of_one_series(tmp_path: Path) -> None:
    cases = found(saved(*(enhanced(frames(), number=n) for n in (1, 2, 3)), folder=tmp_path))
    assert [len(case.sources) for case in cases] == [1, 1, 1]
    assert len({case.output for case in cases}) == 1


def test_slices_that_are_instances_make_one_volume(tmp_path: Path) -> None:
    parts = [enhanced([Frame(z)], number=n) for n, z in enumerate((2, 0, 3, 1), start=1)]
    (case,) = found(saved(*parts, folder=tmp_path))
    assert [path.name for path in case.sources] == ["E1", "E3", "E0", "E2"]
    volume = read(case)
    assert volume.contiguous
    np.testing.assert_array_equal(volume.array[0, :, :, 2], parts[0].pixel_array.T)


def test_volumes_that_span_files_which_span_volumes_are_one_case(tmp_path: Path) -> None:
    parts = [enhanced([Frame(z, t) for z in pair for t in (1, 2)], number=n) for n, pair in ((1, (0, 1)), (2, (2, 3)))]
    folder = saved(*copy.deepcopy(parts), folder=tmp_path / "in")
    (case,) = found(folder)
    array = read(case).array
    assert array.shape == (2, 12, 10, 4)
    np.testing.assert_array_equal(array[1, :, :, 3], parts[1].pixel_array[3].T)
    paths = write(case, halved(array), tmp_path / "out", DERIVATION)
    assert len(paths) == 2
    for part, path in zip(parts, paths, strict=True):
        np.testing.assert_array_equal(pydicom.dcmread(path).pixel_array, np.rint(part.pixel_array * 0.5))


@pytest.mark.parametrize(
    "change", [{"echo": 60.0}, {"b_value": 800.0}, {"stack": 2}, {"kind": ("T2", "DIFFUSION")}, {"time": 2}]
)
def test_what_divides_frames(tmp_path: Path, change: dict[str, object]) -> None:
    (case,) = found(saved(enhanced(frames() + frames(**change)), folder=tmp_path))
    assert [len(stack.slices) for stack in case.details.stacks] == [4, 4]
    first, second = ({plane for _, plane in stack.slices} for stack in case.details.stacks)
    assert {frozenset(first), frozenset(second)} == {frozenset(range(4)), frozenset(range(4, 8))}
    contrasts = {stack.contrast for stack in case.details.stacks}
    assert len(contrasts) == (1 if "time" in change else 2)


def test_volumes_of_unequal_size_in_one_file_are_done_slice_by_slice(tmp_path: Path) -> None:
    ds = enhanced(frames(5) + frames(3, b_value=1000.0))
    (case,) = found(saved(ds, folder=tmp_path / "in"))
    volume = read(case)
    assert volume.array.shape == (8, 12, 10, 1)
    assert not volume.contiguous
    assert "unequal size" in " ".join(case.details.notes)
    (path,) = write(case, halved(volume.array), tmp_path / "out", DERIVATION)
    np.testing.assert_array_equal(pydicom.dcmread(path).pixel_array, np.rint(ds.pixel_array * 0.5))


@pytest.mark.parametrize("shared_type", [False, True])
@pytest.mark.parametrize("legacy", [False, True])
def test_the_header_changes_only_where_it_must(tmp_path: Path, legacy: bool, shared_type: bool) -> None:
    source = enhanced(frames(), legacy=legacy, shared_type=shared_type)
    result = derived(copy.deepcopy(source), tmp_path)
    differing = {e.keyword for e in [*source, *result] if source.get(e.keyword) != result.get(e.keyword)}
    assert differing == {
        *("ImageType", "SOPInstanceUID", "SeriesInstanceUID", "SeriesNumber", "SeriesDescription", "PixelData"),
        *("ContentDate", "ContentTime", "ContentQualification", "SourceImageEvidenceSequence"),
        *("ContributingEquipmentSequence", "PerFrameFunctionalGroupsSequence"),
        *(["SharedFunctionalGroupsSequence"] if shared_type else []),
    }
    assert list(result.ImageType) == ["DERIVED", "PRIMARY", "T2", "NONE"]
    assert result.ContentQualification == "RESEARCH"
    assert result.SOPClassUID == source.SOPClassUID
    for k, (old, new) in enumerate(
        zip(source.PerFrameFunctionalGroupsSequence, result.PerFrameFunctionalGroupsSequence, strict=True)
    ):
        (step,) = new.DerivationImageSequence
        assert "AI denoising: model hmad_rician 1.2.3" in step.DerivationDescription
        assert step.DerivationCodeSequence[0].CodeValue == "113087"
        (reference,) = step.SourceImageSequence
        assert reference.ReferencedSOPInstanceUID == source.SOPInstanceUID
        assert reference.ReferencedFrameNumber == k + 1
        groups = result.SharedFunctionalGroupsSequence[0] if shared_type else new
        assert list(groups.MRImageFrameTypeSequence[0].FrameType) == ["DERIVED", "PRIMARY", "T2", "NONE"]
        kept = {e.keyword for e in old} - {"MRImageFrameTypeSequence"}
        assert all(old[keyword] == new[keyword] for keyword in kept)
        assert {e.keyword for e in new} == {e.keyword for e in old} | {"DerivationImageSequence"}
    (study,) = result.SourceImageEvidenceSequence
    assert study.StudyInstanceUID == source.StudyInstanceUID
    assert study.ReferencedSeriesSequence[0].SeriesInstanceUID == source.SeriesInstanceUID
    assert result.ContributingEquipmentSequence[-1].PurposeOfReferenceCodeSequence[0].CodeValue == "109102"
    np.testing.assert_array_equal(result.pixel_array, np.rint(source.pixel_array * 0.5))


@pytest.mark.parametrize("shared_derivation", [False, True])
def test_frames_of_another_kind_are_copied_and_keep_what_they_say(tmp_path: Path, shared_derivation: bool) -> None:
    plan = [f for z in range(3) for f in (Frame(z, slope=2.0), Frame(z, kind=("T2", "FIELD_MAP"), component="REAL"))]
    source = enhanced(plan)
    if shared_derivation:
        before = Dataset()
        before.DerivationDescription = "averaged"
        source.SharedFunctionalGroupsSequence[0].DerivationImageSequence = [before]
    folder = saved(source, folder=tmp_path / "in")
    (case,), (skip,) = discover([folder / "E0"], folder)
    assert skip.reason == "frames 2, 4, 6: field map (Image Type FIELD_MAP)"
    assert read(case).array.shape == (1, 12, 10, 3)
    (path,) = write(case, halved(read(case).array), tmp_path / "out", DERIVATION)
    result = pydicom.dcmread(path)
    assert list(result.ImageType) == ["MIXED", "PRIMARY", "T2", "MIXED"]
    np.testing.assert_array_equal(result.pixel_array[1::2], source.pixel_array[1::2])
    np.testing.assert_array_equal(result.pixel_array[::2], np.rint(source.pixel_array[::2] * 0.5))
    for k, groups in enumerate(result.PerFrameFunctionalGroupsSequence):
        steps = [step.DerivationDescription for step in groups.DerivationImageSequence]
        assert steps[: int(shared_derivation)] == ["averaged"] * shared_derivation
        assert len(steps) == shared_derivation + (k % 2 == 0)
        assert groups.MRImageFrameTypeSequence[0].FrameType[0] == ("ORIGINAL" if k % 2 else "DERIVED")
    assert "DerivationImageSequence" not in result.SharedFunctionalGroupsSequence[0]


def test_forced_frames_change_and_give_another_instance_of_the_same_series(tmp_path: Path) -> None:
    plan = frames(3) + frames(3, kind=("T2", "FIELD_MAP"), component="REAL")
    plain = derived(enhanced(plan), tmp_path / "a")
    (case,) = found(saved(enhanced(plan), folder=tmp_path / "b"), force=True)
    assert any("forced: field map" in note for note in case.details.notes)
    (path,) = write(case, halved(read(case).array), tmp_path / "c", DERIVATION)
    forced = pydicom.dcmread(path)
    assert forced.SeriesInstanceUID == plain.SeriesInstanceUID
    assert forced.SOPInstanceUID != plain.SOPInstanceUID
    assert (forced.pixel_array[3:] != plain.pixel_array[3:]).any()
    assert forced.ImageType[0] == "DERIVED"


def test_identifiers_are_new_and_stable_and_those_of_concatenations_follow(tmp_path: Path) -> None:
    def source() -> Dataset:
        ds = enhanced(frames())
        ds.ConcatenationUID, ds.SOPInstanceUIDOfConcatenationSource = "1.2.3.4", "1.2.3.5"
        ds.InConcatenationNumber, ds.InConcatenationTotalNumber, ds.ConcatenationFrameOffsetNumber = 1, 1, 0
        return ds

    keywords = ("SOPInstanceUID", "SeriesInstanceUID", "ConcatenationUID", "SOPInstanceUIDOfConcatenationSource")
    first, second = derived(source(), tmp_path / "a"), derived(source(), tmp_path / "b")
    for keyword in keywords:
        assert first[keyword].value == second[keyword].value != source()[keyword].value
    assert first.file_meta.MediaStorageSOPInstanceUID == first.SOPInstanceUID
    for keyword in ("StudyInstanceUID", "FrameOfReferenceUID", "PatientID", "PatientName", "PatientBirthDate"):
        assert first[keyword].value == source()[keyword].value


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_unchanged_values_give_the_stored_data_bit_for_bit(tmp_path: Path, bits: int, signed: bool) -> None:
    ds = enhanced(frames(slope=0.0010346139, intercept=33.9), Phantom(bits=bits, signed=signed))
    (case,) = found(saved(ds, folder=tmp_path / "in"))
    (path,) = write(case, read(case).array, tmp_path / "out", DERIVATION)
    assert pydicom.dcmread(path).PixelData == ds.PixelData


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless, DeflatedExplicitVRLittleEndian])
def test_compressed_frames_come_out_uncompressed_and_equal(tmp_path: Path, syntax: str) -> None:
    source = enhanced(frames(), Phantom(rows=32, columns=32))
    ds = copy.deepcopy(source)
    if syntax == DeflatedExplicitVRLittleEndian:
        ds.file_meta.TransferSyntaxUID = syntax
    else:
        ds.compress(syntax, generate_instance_uid=False)
    (case,) = found(saved(ds, folder=tmp_path / "in"))
    (path,) = write(case, read(case).array, tmp_path / "out", DERIVATION)
    result = pydicom.dcmread(path)
    assert result.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert result.PixelData == source.PixelData


def test_a_deflated_bomb_is_not_inflated(tmp_path: Path) -> None:
    ds = enhanced(frames())
    ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    ds.PixelData = bytes(128 << 20)
    folder = saved(ds, folder=tmp_path)
    cases, (skip,) = discover([folder / "E0"], folder)
    assert not cases
    assert skip.damaged
    assert "swell" in skip.reason


@pytest.mark.parametrize(("cut", "word"), [(100, "truncated"), (2000, "truncated")])
def test_a_truncated_instance_is_damaged(tmp_path: Path, cut: int, word: str) -> None:
    folder = saved(enhanced(frames()), folder=tmp_path)
    file = folder / "E0"
    file.write_bytes(file.read_bytes()[:-cut])
    cases, (skip,) = discover([file], folder)
    assert not cases
    assert skip.damaged
    assert word in skip.reason


def test_frames_without_spacing_position_or_groups_are_said(tmp_path: Path) -> None:
    flat, lost, short = enhanced(frames(), number=1), enhanced(frames(), number=2), enhanced(frames(), number=3)
    del flat.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence
    for groups in lost.PerFrameFunctionalGroupsSequence:
        del groups.PlanePositionSequence
    del short.PerFrameFunctionalGroupsSequence[1]
    folder = saved(flat, lost, short, folder=tmp_path)
    cases, skips = discover(sorted(folder.iterdir()), folder)
    reasons = {skip.source.name: skip.reason for skip in skips}
    assert "no pixel spacing" in reasons["E0"]
    assert "3 functional groups for 4 frames" in reasons["E2"]
    (case,) = cases
    assert case.details.array_shape == (4, 12, 10, 1)
    assert "each image alone" in " ".join(case.details.notes)


def test_a_file_that_changed_since_discovery_is_an_input_error(tmp_path: Path) -> None:
    folder = saved(enhanced(frames()), folder=tmp_path)
    (case,) = found(folder)
    enhanced(frames(2)).save_as(folder / "E0", enforce_file_format=True)
    with pytest.raises(InputError, match="changed"):
        read(case)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("mixed", [False, True])
def test_dciodvfy_has_nothing_new_to_say(tmp_path: Path, legacy: bool, mixed: bool) -> None:
    plan = frames() + (frames(kind=("T2", "T2_MAP")) if mixed else [])
    result = derived(enhanced(plan, legacy=legacy), tmp_path)
    before, after = messages(tmp_path / "in" / "E0"), messages(Path(str(result.filename)))
    assert before["LegacyConvertedEnhancedMRImage" if legacy else "EnhancedMRImage"] == 1  # it really looked
    assert after - before == Counter()


def test_dcm2niix_finds_the_same_geometry(tmp_path: Path) -> None:
    program = need("dcm2niix")
    plan = frames(5)
    random.Random(1).shuffle(plan)
    derived(enhanced(plan), tmp_path)
    (case,) = found(tmp_path / "in")
    for folder in ("in", "out"):
        command = [program, "-z", "n", "-b", "n", "-f", f"nii_{folder}", "-o", str(tmp_path), str(tmp_path / folder)]
        subprocess.run(command, check=True, capture_output=True)
    source, result = nib.load(tmp_path / "nii_in.nii"), nib.load(tmp_path / "nii_out.nii")
    np.testing.assert_array_equal(source.affine, result.affine)
    np.testing.assert_array_equal(np.rint(np.asarray(source.dataobj) * 0.5), np.asarray(result.dataobj))
    to_theirs = np.linalg.inv(source.affine) @ case.details.affine
    array, theirs = read(case).array, np.asarray(source.dataobj)
    for voxel in ((0, 0, 0), (11, 0, 2), (3, 9, 4)):
        i, j, k = np.rint((to_theirs @ [*voxel, 1])[:3]).astype(int)
        assert theirs[i, j, k] == array[(0, *voxel)]


def test_settings_change_the_identifiers(tmp_path: Path) -> None:
    (case,) = found(saved(enhanced(frames()), folder=tmp_path / "in"))
    array = read(case).array
    other = dataclasses.replace(DERIVATION, strength=0.5)
    uids = {
        pydicom.dcmread(write(case, array, tmp_path / name, how)[0]).SOPInstanceUID
        for name, how in (("a", DERIVATION), ("b", other))
    }
    assert len(uids) == 2
