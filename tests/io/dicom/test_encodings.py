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
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

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
