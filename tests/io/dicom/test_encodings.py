"""Data sets as archives spoil them: text of an undeclared encoding, wrong VRs, zeros at the end, no preamble."""

from __future__ import annotations

import json
import struct
from datetime import datetime, timedelta, timezone
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)

from mri_denoise.io import discover, read
from mri_denoise.io.case import Case
from mri_denoise.io.writing import write
from tests.commands import cli
from tests.io.derivation import DERIVATION
from tests.io.dicom.frames_phantom import enhanced, frames
from tests.io.dicom.phantom import Phantom, save, series, set_stored

PLACEHOLDER = b"Placeholder "


def with_bytes(path: Path, old: bytes, new: bytes) -> None:
    """Replace bytes of a file by others of the same length."""
    raw = path.read_bytes()
    assert len(old) == len(new) and old in raw
    path.write_bytes(raw.replace(old, new))


def only_case(folder: Path) -> Case:
    (case,), skips = discover(folder)
    assert not skips
    return case


def halved(case: Case, folder: Path) -> list[Path]:
    return write(case, (read(case).array * 0.5).astype(np.float32), folder, DERIVATION)


@pytest.mark.parametrize("syntax", [None, ImplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize(
    ("charset", "words"),
    [
        ("ISO_IR 192", b"t\xeate M\xfcller "),
        ("ISO_IR 100", "T1 平扫".encode("gbk").ljust(12)),
        ("", b"t\xeate M\xfcller "),
        ("ISO 2022 IR 6\\ISO 2022 IR 87", b"T2\x1b$BF,It\x1b(B "),
    ],
)
def test_text_keeps_its_bytes_whatever_the_character_set(
    tmp_path: Path, charset: str, words: bytes, syntax: str | None
) -> None:
    words = words.ljust(12)[:12]
    datasets = series(
        Phantom(slices=1),
        SpecificCharacterSet=charset,
        SeriesDescription=PLACEHOLDER.decode(),
        InstitutionName=PLACEHOLDER.decode(),
        PatientName=PLACEHOLDER.decode(),
    )
    item = pydicom.Dataset()
    item.CodeMeaning = PLACEHOLDER.decode()
    datasets[0].ProcedureCodeSequence = pydicom.Sequence([item])
    (path,) = save(datasets, tmp_path / "in")
    if syntax is not None:
        ds = pydicom.dcmread(path)
        if syntax == ExplicitVRBigEndian:
            ds.PixelData = np.frombuffer(ds.PixelData, "<u2").astype(">u2").tobytes()
        ds.file_meta.TransferSyntaxUID = syntax
        implicit, little = syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian
        pydicom.dcmwrite(path, ds, implicit_vr=implicit, little_endian=little, enforce_file_format=True)
    with_bytes(path, PLACEHOLDER, words)
    (result,) = halved(only_case(tmp_path / "in"), tmp_path / "out")
    raw = result.read_bytes()
    assert raw.count(words.rstrip()) == 4
    assert words.rstrip() + b" (denoised)" in raw


def test_long_descriptions_are_shortened_by_characters(tmp_path: Path) -> None:
    datasets = series(Phantom(slices=1), SpecificCharacterSet="ISO_IR 192", SeriesDescription="頭" * 64)
    save(datasets, tmp_path / "in")
    (result,) = halved(only_case(tmp_path / "in"), tmp_path / "out")
    assert pydicom.dcmread(result).SeriesDescription == "頭" * 53 + " (denoised)"


def test_text_in_functional_groups_keeps_its_bytes(tmp_path: Path) -> None:
    ds = enhanced(frames())
    ds.SpecificCharacterSet = "ISO_IR 192"
    for groups in ds.PerFrameFunctionalGroupsSequence:
        groups.FrameContentSequence[0].FrameComments = PLACEHOLDER.decode()
    (path,) = save([ds], tmp_path / "in")
    with_bytes(path, PLACEHOLDER, b"t\xeate M\xfcller ")
    (result,) = halved(only_case(tmp_path / "in"), tmp_path / "out")
    assert result.read_bytes().count(b"t\xeate M\xfcller ") == len(ds.PerFrameFunctionalGroupsSequence)


@pytest.mark.parametrize("vr", ["UT", "LO", "UN", "OB"])
@pytest.mark.parametrize("keyword", ["PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient"])
def test_numbers_are_read_whatever_their_vr(tmp_path: Path, keyword: str, vr: str) -> None:
    save(series(), tmp_path / "right")
    datasets = series()
    for ds in datasets:
        words = "\\".join(str(number) for number in ds[keyword].value)
        ds.add_new(ds[keyword].tag, vr, words if vr in ("UT", "LO") else words.encode().ljust(len(words) + 1 & ~1))
    save(datasets, tmp_path / "wrong")
    right, wrong = only_case(tmp_path / "right"), only_case(tmp_path / "wrong")
    np.testing.assert_allclose(right.details.affine, wrong.details.affine)
    result = pydicom.dcmread(halved(wrong, tmp_path / "out")[0])
    assert vr == result[keyword].VR or vr == "UN"


@pytest.mark.parametrize("tail", [bytes(1), bytes(3), bytes(512), bytes(2048)])
def test_zeros_after_the_end_are_dropped(tmp_path: Path, tail: bytes) -> None:
    for path in save(series(), tmp_path / "in"):
        path.write_bytes(path.read_bytes() + tail)
    results = halved(only_case(tmp_path / "in"), tmp_path / "out")
    assert len(results) == 4
    assert all(tag.group >= 8 for path in results for tag in pydicom.dcmread(path).keys())


@pytest.mark.parametrize("element", [0xE000, 0xE0DD])
def test_a_stray_item_is_said_in_one_line(tmp_path: Path, element: int) -> None:
    paths = save(series(), tmp_path)
    paths[0].write_bytes(paths[0].read_bytes() + struct.pack("<HHI", 0xFFFE, element, 0))
    (case,), (skip,) = discover(tmp_path)
    assert len(case.sources) == 3
    assert skip.damaged and f"item tag (FFFE,{element:04X}) outside any sequence" in skip.reason


@pytest.mark.parametrize("ending", ["", ".MR", ".img", ".IMA", ".001", ".dat", ".mag", ".1.2.3-4.mr"])
@pytest.mark.parametrize("meta", [True, False])
def test_files_without_preamble_are_known_whatever_their_ending(tmp_path: Path, ending: str, meta: bool) -> None:
    for k, ds in enumerate(series()):
        buffer = BytesIO()
        if meta:
            ds.save_as(buffer, enforce_file_format=True)
        else:
            del ds.file_meta
            pydicom.dcmwrite(buffer, ds, implicit_vr=True, little_endian=True)
        path = tmp_path / "in" / f"IM{k}{ending}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(buffer.getvalue()[132 if meta else 0 :])
    case = only_case(tmp_path / "in")
    assert len(case.sources) == 4
    assert len(halved(case, tmp_path / "out")) == 4


@pytest.mark.parametrize("kind", ["classic", "enhanced"])
@pytest.mark.parametrize(("offset", "hours"), [("+0900", 9.0), ("-0330", -3.5), ("+0000", 0.0)])
def test_new_times_are_in_the_time_zone_of_the_source(tmp_path: Path, offset: str, hours: float, kind: str) -> None:
    (ds,) = series(Phantom(slices=1)) if kind == "classic" else [enhanced(frames())]
    ds.TimezoneOffsetFromUTC, ds.InstanceCreationDate, ds.InstanceCreationTime = offset, "20200102", "101112"
    save([ds], tmp_path / "in")
    result = pydicom.dcmread(halved(only_case(tmp_path / "in"), tmp_path / "out")[0])
    assert (result.InstanceCreationDate, result.InstanceCreationTime) == (result.ContentDate, result.ContentTime)
    zone = timezone(timedelta(hours=hours))
    for words in (
        result.ContentDate + result.ContentTime,
        result.ContributingEquipmentSequence[-1].ContributionDateTime,
    ):
        said = datetime.strptime(str(words), "%Y%m%d%H%M%S").replace(tzinfo=zone)
        assert abs(said - datetime.now(timezone.utc)) < timedelta(minutes=5)


def smooth(slices: int, peak: int) -> list[pydicom.Dataset]:
    datasets = series(Phantom(slices=slices, rows=32, columns=32))
    y, x = np.mgrid[:32, :32]
    for ds in datasets:
        set_stored(ds, (peak * np.exp(-((x - 16) ** 2 + (y - 16) ** 2) / 200)).astype(int))
    return datasets


def test_values_that_need_more_bits_than_stored_are_not_wrapped(tmp_path: Path) -> None:
    save(smooth(3, 6000), tmp_path)
    cases, skips = discover(tmp_path)
    assert not cases and len(skips) == 3
    assert all(skip.damaged and "more than the 12 bits stored" in skip.reason for skip in skips)


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, RLELossless, DeflatedExplicitVRLittleEndian])
def test_nor_are_they_where_pixels_are_compressed(tmp_path: Path, syntax: str) -> None:
    datasets = smooth(3, 6000)
    for ds in datasets:
        ds.BitsStored, ds.HighBit = 13, 12
        if syntax == DeflatedExplicitVRLittleEndian:
            ds.file_meta.TransferSyntaxUID = syntax
        else:
            ds.compress(syntax, generate_instance_uid=False)
        ds.BitsStored, ds.HighBit = 12, 11
    save(datasets, tmp_path / "in")
    found = cli("denoise", tmp_path / "in", tmp_path / "out", "--sigma", 50, "--device", "cpu", code=1)
    assert "more than the 12 bits stored" in found.stdout + found.stderr
    assert not list(tmp_path.glob("out/**/IM*"))


def test_junk_above_the_stored_bits_of_compressed_pixels_is_masked(tmp_path: Path) -> None:
    datasets = smooth(3, 3000)
    expected = datasets[0].pixel_array
    for ds in datasets:
        pixels = ds.pixel_array.copy()
        pixels[10:14, 3:9] |= 1 << 12
        set_stored(ds, pixels)
        ds.BitsStored, ds.HighBit = 13, 12
        ds.compress(RLELossless, generate_instance_uid=False)
        ds.BitsStored, ds.HighBit = 12, 11
    save(datasets, tmp_path)
    np.testing.assert_array_equal(read(only_case(tmp_path)).array[0, :, :, 0].T, expected)


def test_more_pixel_data_than_the_header_counts_are_damage(tmp_path: Path) -> None:
    datasets = series()
    for ds in datasets:
        ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8, 8, 7  # of 16
    save(datasets, tmp_path)
    cases, skips = discover(tmp_path)
    assert not cases and len(skips) == 4
    assert all(skip.damaged and "240 bytes of pixel data, where the header says 120" in skip.reason for skip in skips)


@pytest.mark.parametrize("implicit", [True, False])
def test_the_wrong_one_of_two_transfer_syntaxes_is_not_believed(tmp_path: Path, implicit: bool) -> None:
    """The file meta information says explicit VR and the data set is implicit, or the other way round."""
    paths = save(series(), tmp_path / "in")
    syntaxes = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
    true, said = syntaxes[implicit], syntaxes[not implicit]
    for path in paths:
        ds = pydicom.dcmread(path)
        whole, right, wrong = BytesIO(), BytesIO(), BytesIO()
        ds.file_meta.TransferSyntaxUID = true
        write_file_meta_info(right, ds.file_meta)
        ds.save_as(whole, enforce_file_format=True)
        ds.file_meta.TransferSyntaxUID = said
        write_file_meta_info(wrong, ds.file_meta)
        path.write_bytes(bytes(128) + b"DICM" + wrong.getvalue() + whole.getvalue()[132 + len(right.getvalue()) :])
    results = halved(only_case(tmp_path / "in"), tmp_path / "out")
    for path, result in zip(paths, results, strict=True):
        source, ds = pydicom.dcmread(path), pydicom.dcmread(result)
        assert ds.PatientName == source.PatientName and ds.StudyDate == source.StudyDate
        assert ds.ImagePositionPatient == source.ImagePositionPatient


def test_a_series_with_one_slice_of_such_values_is_left_as_a_whole(tmp_path: Path) -> None:
    """Elsewhere in it, plateaus beyond the bits look like an overlay, or values stay below."""
    datasets = [*smooth(3, 6000), *smooth(5, 3000)[3:]]
    plateau = datasets[1].pixel_array.copy()
    plateau[:] = 10
    plateau[8:24, 8:24] = 4500
    set_stored(datasets[1], plateau)
    save(datasets, tmp_path / "in")
    save(series(Phantom(uid="other"), SeriesNumber=6), tmp_path / "in")
    found = cli("denoise", tmp_path / "in", tmp_path / "out", "--sigma", 50, "--device", "cpu", "--json", code=1)
    report = json.loads(found.stdout)
    failed = [skip["reason"] for skip in report["skipped"] if skip["damaged"]]
    assert len(failed) == 5 and all("more than the 12 bits stored" in reason for reason in failed)
    assert sum(reason.startswith("its series has slices with values") for reason in failed) == 3
    assert [record["case"].startswith("6") for record in report["done"]] == [True]


def test_bits_that_may_be_an_overlay_are_said(tmp_path: Path) -> None:
    datasets = smooth(3, 3000)
    for ds in datasets:
        pixels = ds.pixel_array.copy()
        pixels[10:14, 3:9] |= 1 << 12
        set_stored(ds, pixels)
    save(datasets, tmp_path)
    assert "taken for an overlay" in only_case(tmp_path).notes[0]
    for ds in datasets:
        ds.add_new((0x6000, 0x0102), "US", 12)  # where the overlay is declared, nothing is unusual
    save(datasets, tmp_path / "declared")
    assert only_case(tmp_path / "declared").notes == ()


@pytest.mark.parametrize("tail", [b"\xff" * 100, struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)])
def test_an_element_without_an_end_is_damage(tmp_path: Path, tail: bytes) -> None:
    paths = save(series(), tmp_path)
    paths[0].write_bytes(paths[0].read_bytes() + tail)
    (case,), (skip,) = discover(tmp_path)
    assert len(case.sources) == 3
    assert skip.damaged and "has no end" in skip.reason
