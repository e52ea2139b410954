"""Which images are selected: by labels, by filter files, and what is left alone."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from mri_denoise.bids.dataset import open_dataset
from mri_denoise.bids.filters import Filters, read_filters
from mri_denoise.bids.selection import Wanted, select
from mri_denoise.errors import InputError
from tests.commands import cli

FILES = [
    "sub-01/anat/sub-01_T1w.nii.gz",
    "sub-01/anat/sub-01_T2w.nii.gz",
    "sub-01/func/sub-01_task-rest_run-01_bold.nii.gz",
    "sub-01/func/sub-01_task-rest_run-02_bold.nii.gz",
    "sub-01/func/sub-01_task-nback_bold.nii.gz",
    "sub-01/fmap/sub-01_magnitude1.nii.gz",
    "sub-02/ses-a/anat/sub-02_ses-a_acq-low_T1w.nii.gz",
    "sub-02/ses-a/anat/sub-02_ses-a_T1w.nii.gz",
    "sub-02/ses-b/anat/sub-02_ses-b_T1w.nii.gz",
    "sub-02/ses-b/dwi/sub-02_ses-b_dwi.nii.gz",
    "sub-10/anat/sub-10_FLAIR.nii",
]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("raw")
    for name in FILES:
        put(folder / name)
    (folder / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.10.0"}')
    return folder


def put(path: Path, content: bytes = b"x" * 2000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def selected(root: Path, **wanted: object) -> list[str]:
    return [scan.label for scan in select(open_dataset(root), Wanted(**wanted)).scans]  # type: ignore[arg-type]


def test_everything_but_field_maps_in_natural_order(root: Path) -> None:
    assert sorted(selected(root)) == sorted(name for name in FILES if "fmap" not in name)
    assert open_dataset(root).participants == ("01", "02", "10")


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ({"participants": ["10"]}, ["sub-10/anat/sub-10_FLAIR.nii"]),
        ({"sessions": ["b"]}, FILES[8:10]),
        ({"suffixes": ["T2w", "FLAIR"]}, [FILES[1], FILES[10]]),
        ({"participants": ["01"], "tasks": ["nback"], "suffixes": ["bold"]}, [FILES[4]]),
        ({"participants": ["01"], "tasks": ["rest"], "runs": ["2"]}, [*FILES[:2], FILES[3]]),
    ],
)
def test_labels_select(root: Path, wanted: dict[str, object], names: list[str]) -> None:
    assert selected(root, **wanted) == names


@pytest.mark.parametrize(
    ("queries", "left_out"),
    [
        ({"t1w": {"session": "a", "acquisition": None}}, [FILES[0], FILES[6], FILES[8]]),
        ({"t1w": {"datatype": "anat", "acquisition": "low"}}, [FILES[0], FILES[7], FILES[8]]),
        ({"bold": {"task": ["nback"]}}, FILES[2:4]),
        ({"bold": {"run": [1, 3]}, "fmap": {"session": "x"}, "roi": {"suffix": "roi"}}, FILES[3:5]),
        ({"bold": {"run": "Query.ANY"}}, [FILES[4]]),
        ({"bold": {"task": "^nb", "regex_search": True}}, FILES[2:4]),
        ({"anat": {"subject": ["02", "10"]}}, FILES[:2]),
        ({"flair": {"extension": ".nii.gz"}}, [FILES[10]]),
        ({"flair": {"extension": ["nii"]}}, []),
        ({}, []),
    ],
)
def test_filter_files_select_as_those_of_fmriprep(
    root: Path, tmp_path: Path, queries: dict[str, object], left_out: list[str]
) -> None:
    (tmp_path / "filter.json").write_text(json.dumps(queries))
    kept = selected(root, filters=read_filters(tmp_path / "filter.json"))
    assert set(selected(root)) - set(kept) == set(left_out)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON"),
        ("[1]", "JSON object"),
        ('{"t1w": ["a"]}', "must be an object"),
        ('{"t1w": {"visit": "a"}}', "visit is no entity"),
        ('{"t1w": {"session": "(", "regex_search": true}}', "no regular expression"),
    ],
)
def test_a_bad_filter_file_is_one_line(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "filter.json").write_text(text)
    with pytest.raises(InputError, match=words):
        read_filters(tmp_path / "filter.json")


def test_what_is_left_alone_has_a_reason(tmp_path: Path) -> None:
    (tmp_path / "dataset_description.json").write_text("{}")
    anat = tmp_path / "sub-1" / "anat"
    absent = anat / "sub-1_T1w.nii.gz"
    anat.mkdir(parents=True)
    os.symlink("../../.git/annex/objects/aa/key", absent)
    put(anat / "sub-1_T2w.nii.gz", b"/annex/objects/MD5E-s1--abc.nii.gz\n")
    put(anat / "sub-1_PDw.nii.gz", b"version https://git-lfs.github.com/spec/v1\n")
    put(anat / "sub-1_FLAIR.nii.gz", b"")
    put(anat / "sub-1_T1map.nii.gz")
    put(anat / "sub-1_angio.nii")
    put(anat / "sub-1_angio.nii.gz")
    put(anat / "sub-2_T2starw.nii.gz")
    put(anat / "T1.nii copy.nii")
    put(tmp_path / "sub-1" / "dwi" / "sub-1_ADC.nii.gz")
    put(anat / ".sub-1_T1w.nii.gz")
    found = select(open_dataset(tmp_path), Wanted())
    assert [scan.label for scan in found.scans] == ["sub-1/anat/sub-1_angio.nii"]
    skipped = {skip.source.name: (skip.damaged, skip.reason) for skip in found.skips}
    for name in ("sub-1_T1w.nii.gz", "sub-1_T2w.nii.gz", "sub-1_PDw.nii.gz"):
        damaged, reason = skipped.pop(name)
        assert damaged and "datalad get" in reason
    assert skipped.pop("sub-1_FLAIR.nii.gz") == (True, "empty file; copy or download it again")
    words = {
        "sub-1_T1map.nii.gz": "map",
        "sub-1_angio.nii.gz": "would have the name",
        "sub-2_T2starw.nii.gz": "does not fit its folder",
        "T1.nii copy.nii": "not a name of BIDS",
        "sub-1_ADC.nii.gz": "map",
    }
    assert skipped.keys() == words.keys()
    assert all(not skipped[name][0] and words[name] in skipped[name][1] for name in words)
    everything = select(open_dataset(tmp_path), Wanted(everything=True, filters=Filters()))
    assert "sub-1/anat/sub-1_T1map.nii.gz" in [scan.label for scan in everything.scans]


@pytest.mark.parametrize(
    ("types", "kind"),
    [
        (["ORIGINAL", "PRIMARY", "P", "ND"], "phase image"),
        (["ORIGINAL", "PRIMARY", "IMAGINARY"], "imaginary image"),
        (["DERIVED", "SECONDARY", "MIP"], "projection"),
        (["DERIVED", "PRIMARY", "T1 MAP"], "map"),
        (["DERIVED", "SECONDARY", "SUBTRACTION"], "subtraction"),
        (["ORIGINAL", "PRIMARY", "LOCALIZER"], "localizer"),
        ("ORIGINAL\\PRIMARY\\P\\ND", "phase image"),
    ],
)
@pytest.mark.parametrize("sidecar", ["sub-1/anat/sub-1_acq-x_T2starw.json", "sub-1/sub-1_T2starw.json", "T2starw.json"])
@pytest.mark.parametrize("command", ["bids", "denoise"])
def test_the_image_type_in_the_json_files_tells_too(
    tmp_path: Path, types: object, kind: str, sidecar: str, command: str
) -> None:
    (tmp_path / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.10.0"}')
    left = put(tmp_path / "sub-1" / "anat" / "sub-1_acq-x_T2starw.nii.gz")
    put(tmp_path / "sub-1" / "anat" / "sub-1_T1w.nii.gz")
    put(tmp_path / sidecar, json.dumps({"ImageType": types}).encode())
    if command == "bids":
        report = json.loads(
            cli("bids", tmp_path, tmp_path / "derivatives/x", "participant", "--dry-run", "--json").stdout
        )
        assert report["selected"] == ["sub-1/anat/sub-1_T1w.nii.gz"]
    else:  # which denoises nothing of these files, as they are none
        report = json.loads(cli("denoise", tmp_path, tmp_path / "derivatives/x", "--json", code=1).stdout)
        assert report["selected"] == ["sub-1/anat/sub-1_T1w.nii.gz"]
    [skipped] = report["skipped"]
    assert skipped["path"] == str(left) and kind in skipped["reason"] and not skipped["damaged"]
    assert len(select(open_dataset(tmp_path), Wanted(everything=True)).scans) == 2


def test_the_nearest_image_type_counts_and_broken_metadata_are_said_later(tmp_path: Path) -> None:
    (tmp_path / "dataset_description.json").write_text("{}")
    anat = tmp_path / "sub-1" / "anat"
    put(anat / "sub-1_T1w.nii.gz")
    put(anat / "sub-1_T2w.nii.gz")
    put(tmp_path / "T1w.json", b'{"ImageType": ["ORIGINAL", "PRIMARY", "P"]}')
    put(anat / "sub-1_T1w.json", b'{"ImageType": ["ORIGINAL", "PRIMARY", "M"]}')
    put(anat / "sub-1_T2w.json", b'{"ImageType": ["ORIGINAL",')
    assert len(selected(tmp_path)) == 2
    said = cli("bids", tmp_path, tmp_path / "derivatives/x", "participant", "--dry-run", code=1).stderr
    assert "sub-1_T2w.json: not JSON" in said


def test_participants_that_are_not_there_are_named(root: Path) -> None:
    found = select(open_dataset(root), Wanted(participants=["10", "99"]))
    assert (found.absent, len(found.scans)) == (("99",), 1)


@pytest.mark.parametrize(
    ("description", "words"),
    [
        (None, "not a BIDS data set"),
        ("{", "not JSON"),
        ('{"DatasetType": "derivative"}', "give the raw data"),
        ("{}", "no folder sub-LABEL"),
    ],
)
def test_a_folder_that_is_no_raw_data_set_is_one_line(tmp_path: Path, description: str | None, words: str) -> None:
    if description is not None:
        (tmp_path / "dataset_description.json").write_text(description)
    with pytest.raises(InputError, match=words):
        open_dataset(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        open_dataset(tmp_path / "nowhere")


def test_a_data_set_without_description_is_taken_if_asked(tmp_path: Path) -> None:
    put(tmp_path / "sub-1" / "anat" / "sub-1_T1w.nii")
    assert open_dataset(tmp_path, lenient=True).participants == ("1",)
