"""Zip files of a study: found, unpacked safely, named after the file."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path

import numpy as np
import pytest

from mri_denoise.errors import InputError
from mri_denoise.io import discover, read
from mri_denoise.io.archive import Unpacking
from tests.io.dicom.phantom import Phantom, save, series


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A zip file of two series in folders, with other things between."""
    save(series(Phantom(uid="a"), SeriesNumber=2), tmp_path / "raw" / "deep" / "a")
    save(series(Phantom(uid="b"), SeriesNumber=10), tmp_path / "raw" / "b")
    path = tmp_path / "in" / "study 1.zip"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted((tmp_path / "raw").rglob("*")):
            archive.write(file, file.relative_to(tmp_path / "raw"))
        archive.writestr("DICOMDIR", b"index")
        archive.writestr("__MACOSX/deep/._IM0001", b"fork")
        archive.writestr("notes.txt", b"words")
    return path


@pytest.mark.parametrize("single", [True, False])
def test_a_zip_file_stands_for_a_folder_of_its_name(study: Path, single: bool) -> None:
    cases, skips = discover(study if single else study.parent)
    assert [case.output.as_posix() for case in cases] == [
        "study 1/b/10_t2_tse_cor",
        "study 1/deep/a/2_t2_tse_cor",
    ]
    assert all(case.label.startswith("study 1/") for case in cases)
    assert skips == []
    assert read(cases[0]).array.shape == (1, 12, 10, 4)
    assert np.isfinite(read(cases[1]).array).all()


@pytest.mark.parametrize("name", ["../out.dcm", "/etc/out.dcm", "a/../../out.dcm", "..\\out.dcm", "C:/out.dcm"])
def test_a_path_that_leads_outside_is_refused(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(name, b"x")
    with pytest.raises(InputError, match="outside"):
        Unpacking().unpack(tmp_path / "a.zip")


def test_links_are_not_made(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
        archive.writestr("file", "text")
    assert [path.name for path in Unpacking().unpack(tmp_path / "a.zip").iterdir()] == ["file"]


def test_a_bomb_is_stopped_while_it_unpacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mri_denoise.io.archive._ALWAYS_UNPACKED", 1 << 20)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(64 << 20))
    with pytest.raises(InputError, match="unpacks to more"):
        Unpacking().unpack(tmp_path / "a.zip")


@pytest.mark.parametrize("how", ["cut", "text", "flipped"])
def test_a_damaged_archive_is_one_line_and_a_failure(study: Path, how: str) -> None:
    whole = study.read_bytes()
    middle = len(whole) // 3
    study.write_bytes(
        {
            "cut": whole[: len(whole) // 2],
            "text": b"PK\x03\x04 and no more",
            "flipped": whole[:middle] + bytes(b ^ 0xFF for b in whole[middle : middle + 400]) + whole[middle + 400 :],
        }[how]
    )
    _, skips = discover(study.parent)
    assert [skip.damaged for skip in skips] == [True]
    assert "damaged" in skips[0].reason
    with pytest.raises(InputError, match=r"study 1\.zip: "):
        discover(study)


def test_an_empty_archive_is_said(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w"):
        pass
    with pytest.raises(InputError, match="no image found in this zip file"):
        discover(tmp_path / "a.zip")


def test_the_same_study_as_folder_and_zip_file_is_written_once(study: Path) -> None:
    with zipfile.ZipFile(study) as archive:
        archive.extractall(study.parent / "study 1")
    cases, skips = discover(study.parent)
    assert len(cases) == 2
    assert all("would overwrite" in skip.reason and not skip.damaged for skip in skips) and len(skips) == 2


def zipped(path: Path, *members: tuple[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def test_a_zip_file_in_a_zip_file_is_said_and_not_opened(study: Path, tmp_path: Path) -> None:
    outer = zipped(tmp_path / "outer.zip", ("export.zip", study.read_bytes()), ("readme.txt", b"x"))
    with pytest.raises(InputError, match="zip file inside a zip file: not opened"):
        discover(outer)


def test_zip_files_of_a_folder_share_one_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mri_denoise.io.archive._ALWAYS_UNPACKED", 3 << 20)
    monkeypatch.setattr("mri_denoise.io.archive._RATIO", 1)
    files = [zipped(tmp_path / f"{k}.zip", ("zeros", bytes(2 << 20))) for k in range(2)]
    unpacking = Unpacking()
    unpacking.unpack(files[0])
    with pytest.raises(InputError, match="unpacks to more"):
        unpacking.unpack(files[1])
    assert Unpacking().unpack(files[1])


def test_a_bomb_does_not_use_up_the_limit_of_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mri_denoise.io.archive._ALWAYS_UNPACKED", 3 << 20)
    unpacking = Unpacking()
    with pytest.raises(InputError, match="unpacks to more"):
        unpacking.unpack(zipped(tmp_path / "bomb.zip", ("zeros", bytes(64 << 20))))
    assert unpacking.unpack(zipped(tmp_path / "good.zip", ("zeros", bytes(2 << 20))))


@pytest.mark.parametrize("name", ["", ".", "./", "//"])
def test_a_member_without_a_name_is_one_line(tmp_path: Path, name: str) -> None:
    info = zipfile.ZipInfo("placeholder")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(info, b"content")
        info.filename = name
    _, (skip,) = discover(tmp_path)
    assert skip.damaged or "no image found" in skip.reason
    assert "\n" not in skip.reason


def test_a_failed_archive_leaves_nothing_in_the_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    with pytest.raises(InputError):
        Unpacking().unpack(zipped(tmp_path / "a.zip", ("good", b"x"), ("../bad", b"x")))
    assert list((tmp_path / "tmp").iterdir()) == []
