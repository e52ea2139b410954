"""Preparing a local copy of the public data: files are known by content, whatever they are called."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest
import yaml

from mri_denoise.errors import InputError
from mri_denoise.training.manifests import load_manifests, manifests_folder, prepare

CONTENTS = {"train/a": b"first", "train/b": b"other", "validation/c": b"a third one", "test/d": b"the last"}
SPLITS = {"train": "training", "validation": "validation", "test": "test"}


@pytest.fixture
def manifests(tmp_path: Path) -> Path:
    """Four files in one data set, one in each split but two in training."""
    folder = tmp_path / "manifests"
    folder.mkdir()
    files, lists = [], {"training": [], "validation": [], "test": []}
    for key, content in CONTENTS.items():
        split, name = key.split("/")
        local = f"volumes/{split}/set_{name}.nii.gz"
        entry = {"path": f"sub-{name}/anat/T1w.nii.gz", "local": local, "size": len(content), "licence": "CC0-1.0"}
        files.append(entry | {"sha256": hashlib.sha256(content).hexdigest()})
        lists[SPLITS[split]].append({"image": local, "contrast": "T1w"})
    (folder / "set.yaml").write_text(yaml.safe_dump({"title": "set", "files": files}))
    (folder / "datalist.json").write_text(json.dumps(lists))
    return folder


def _download(folder: Path, names: dict[str, bytes]) -> Path:
    for name, content in names.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def test_files_are_found_under_any_name_and_laid_out(tmp_path: Path, manifests: Path) -> None:
    source = _download(tmp_path / "in", {f"deep/{n}/x{n}.bin": c for n, c in enumerate(CONTENTS.values())})
    report = prepare(source, tmp_path / "out", manifests=manifests)
    assert report.missing == () and report.mismatched == ()
    for key, content in CONTENTS.items():
        split, name = key.split("/")
        assert (tmp_path / "out/volumes" / split / f"set_{name}.nii.gz").read_bytes() == content
    assert json.loads(report.datalist.read_text()) == json.loads((manifests / "datalist.json").read_text())


def test_missing_files_are_reported_and_left_out_of_the_datalist(tmp_path: Path, manifests: Path) -> None:
    source = _download(tmp_path / "in", {"x": CONTENTS["train/b"]})
    report = prepare(source, tmp_path / "out", manifests=manifests)
    assert report.placed == ("volumes/train/set_b.nii.gz",)
    assert len(report.missing) == 3 and report.mismatched == ()
    datalist = json.loads((tmp_path / "out/datalist.json").read_text())
    assert datalist["training"] == [{"image": "volumes/train/set_b.nii.gz", "contrast": "T1w"}]
    assert datalist["validation"] == datalist["test"] == []


@pytest.mark.parametrize("name", ["ds/sub-a/anat/T1w.nii.gz", "set_a.nii.gz"])
@pytest.mark.parametrize("content", [b"FIRST", b"cut"], ids=["same size", "other size"])
def test_a_file_of_the_right_name_with_other_content_is_a_mismatch(
    tmp_path: Path, manifests: Path, name: str, content: bytes
) -> None:
    source = _download(tmp_path / "in", {name: content})
    report = prepare(source, tmp_path / "out", manifests=manifests)
    assert [(m.local, m.found) for m in report.mismatched] == [("volumes/train/set_a.nii.gz", source / name)]
    assert "volumes/train/set_a.nii.gz" in report.missing and report.placed == ()


def test_duplicates_do_no_harm(tmp_path: Path, manifests: Path) -> None:
    source = _download(tmp_path / "in", {"1": b"first", "2": b"first", "set_a.nii.gz": b"first"})
    report = prepare(source, tmp_path / "out", manifests=manifests)
    assert report.placed == ("volumes/train/set_a.nii.gz",) and report.mismatched == ()


def test_hard_links_by_default_and_copies_on_request(tmp_path: Path, manifests: Path) -> None:
    source = _download(tmp_path / "in", {"x": b"first"})
    prepare(source, tmp_path / "linked", manifests=manifests)
    prepare(source, tmp_path / "copied", manifests=manifests, copy=True)
    place = "volumes/train/set_a.nii.gz"
    assert (tmp_path / "linked" / place).samefile(source / "x")
    assert not (tmp_path / "copied" / place).samefile(source / "x")
    assert (tmp_path / "copied" / place).read_bytes() == b"first"


def test_links_to_annexed_files_are_followed_and_broken_ones_ignored(tmp_path: Path, manifests: Path) -> None:
    source = _download(tmp_path / "in", {".git/annex/objects/k": b"first"})
    (source / "T1w.nii.gz").symlink_to(source / ".git/annex/objects/k")
    (source / "set_b.nii.gz").symlink_to(source / "not fetched")
    report = prepare(source, tmp_path / "out", manifests=manifests)
    assert report.placed == ("volumes/train/set_a.nii.gz",) and report.mismatched == ()
    assert not (tmp_path / "out/volumes/train/set_a.nii.gz").is_symlink()


def test_a_second_run_and_a_prepared_folder_as_its_own_output_change_nothing(tmp_path: Path, manifests: Path) -> None:
    source = _download(tmp_path / "in", {str(n): c for n, c in enumerate(CONTENTS.values())})
    first = prepare(source, tmp_path / "out", manifests=manifests)
    before = {p: p.stat().st_ino for p in (tmp_path / "out/volumes").rglob("*")}
    assert prepare(source, tmp_path / "out", manifests=manifests).placed == first.placed
    assert prepare(tmp_path / "out", tmp_path / "out", manifests=manifests).placed == first.placed
    assert {p: p.stat().st_ino for p in (tmp_path / "out/volumes").rglob("*")} == before


def test_another_file_in_the_way_is_never_overwritten(tmp_path: Path, manifests: Path) -> None:
    source = _download(tmp_path / "in", {"x": b"first", "y": b"other"})
    _download(tmp_path / "out", {"volumes/train/set_b.nii.gz": b"mine!"})
    with pytest.raises(InputError, match="set_b.nii.gz: exists with other content: delete it"):
        prepare(source, tmp_path / "out", manifests=manifests)
    assert (tmp_path / "out/volumes/train/set_b.nii.gz").read_bytes() == b"mine!"
    assert not (tmp_path / "out/volumes/train/set_a.nii.gz").exists()


def test_a_folder_that_is_not_there_is_an_input_error(tmp_path: Path, manifests: Path) -> None:
    with pytest.raises(InputError, match="not a folder"):
        prepare(tmp_path / "nowhere", tmp_path / "out", manifests=manifests)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root reads every file")
def test_an_unreadable_file_is_an_input_error(tmp_path: Path, manifests: Path) -> None:
    source = _download(tmp_path / "in", {"x": b"first"})
    (source / "x").chmod(0)
    with pytest.raises(InputError, match="cannot be read"):
        prepare(source, tmp_path / "out", manifests=manifests)


@pytest.mark.parametrize("text", ["files: [", "title: no files", "files: [{path: a}]", "- a list"])
def test_a_broken_manifest_is_an_input_error_of_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "broken.yaml").write_text(text)
    with pytest.raises(InputError, match="broken.yaml: not a manifest") as caught:
        load_manifests(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("local", ["../escape.nii.gz", "/etc/escape.nii.gz"])
def test_a_manifest_cannot_write_outside_the_output(tmp_path: Path, local: str) -> None:
    entry = {"path": "a", "local": local, "size": 1, "sha256": "0" * 64, "licence": "MIT"}
    (tmp_path / "bad.yaml").write_text(yaml.safe_dump({"files": [entry]}))
    with pytest.raises(InputError, match="leaves the folder"):
        load_manifests(tmp_path)


def test_the_shipped_lists_hold_free_files_split_by_subject() -> None:
    files = {file.local: file for file in load_manifests(manifests_folder())}
    datalist = json.loads((manifests_folder() / "datalist.json").read_text())
    subjects = {key: {entry["subject"] for entry in entries} for key, entries in datalist.items()}
    assert list(datalist) == ["training", "validation", "test"]
    assert not subjects["training"] & subjects["validation"]
    assert not subjects["test"] & (subjects["training"] | subjects["validation"])
    free = {"CC0-1.0", "CC-BY", "MIT", "BSD-2-Clause", "Apache-2.0"}
    for entry in (entry for entries in datalist.values() for entry in entries):
        assert files[entry["image"]].licence in free
        assert files[entry["image"]].dataset not in {"colin27", "brainweb"}
    assert len({file.sha256 for file in files.values()}) == len(files)


def test_every_shipped_manifest_says_where_its_data_is_and_under_which_licence() -> None:
    manifests = sorted(manifests_folder().glob("*.yaml"))
    assert {m.stem for m in manifests} >= {"ixi", "ds002748", "ds000011", "openms_longitudinal", "brainweb", "colin27"}
    for manifest in manifests:
        content = yaml.safe_load(manifest.read_text(encoding="utf-8"))
        assert {"title", "homepage", "licence", "citation", "retrieve", "files"} <= content.keys()
        for entry in content["files"]:
            assert {"path", "local", "size", "sha256", "contrast", "subject", "licence"} <= entry.keys()
            assert len(bytes.fromhex(entry["sha256"])) == 32


def test_monai_reads_the_prepared_datalist(tmp_path: Path, manifests: Path) -> None:
    from monai.data import load_decathlon_datalist

    source = _download(tmp_path / "in", {str(n): c for n, c in enumerate(CONTENTS.values())})
    datalist = prepare(source, tmp_path / "out", manifests=manifests).datalist
    training = load_decathlon_datalist(datalist, data_list_key="training")
    assert [Path(item["image"]).read_bytes() for item in training] == [b"first", b"other"]
    (only,) = load_decathlon_datalist(datalist, data_list_key="test")
    assert Path(only["image"]).is_file()
