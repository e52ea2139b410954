"""The BIDS App from outside: what it writes, says and returns, and what the BIDS validator says of it."""

from __future__ import annotations

import csv
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from mri_denoise.bids.layout import Layout
from mri_denoise.bids.names import parse
from mri_denoise.bids.scan import Scan
from tests.bids.datasets import ASL, bids_errors, make_raw, put_image, put_json, read_json
from tests.commands import cli

FAST = ("--sigma", 30, "--device", "cpu")
SCANS = [
    "sub-01/anat/sub-01_T1w.nii.gz",
    "sub-01/anat/sub-01_T2w.nii",
    "sub-02/ses-1/anat/sub-02_ses-1_T1w.nii.gz",
    "sub-02/ses-1/func/sub-02_ses-1_task-rest_run-1_bold.nii.gz",
    "sub-02/ses-1/dwi/sub-02_ses-1_dir-AP_dwi.nii.gz",
    "sub-02/ses-1/perf/sub-02_ses-1_asl.nii.gz",
]
OUTPUT = Path("derivatives", "mri-denoise")


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A raw data set with its derivative, all companions asked for."""
    root = make_raw(tmp_path_factory.mktemp("bids") / "raw")
    extras = ("--residual", "--noise-map", "--figure")
    report = json.loads(cli("bids", root, root / OUTPUT, "participant", *FAST, *extras, "--json").stdout)
    assert report["selected"] == report["due"] == SCANS and report["failed"] == report["done_before"] == []
    assert [record["case"] for record in report["done"]] == SCANS
    return root


@pytest.fixture
def one(tmp_path: Path) -> Path:
    """A raw data set of one scan."""
    return make_one(tmp_path / "raw")


def make_one(root: Path) -> Path:
    put_json(root / "dataset_description.json", {"Name": "one", "BIDSVersion": "1.10.0"})
    put_image(root / "sub-01" / "anat" / "sub-01_T1w.nii.gz")
    return root


@pytest.fixture(scope="module")
def two_denoised(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = make_one(tmp_path_factory.mktemp("two") / "raw")
    put_image(root / "sub-02" / "anat" / "sub-02_T2w.nii.gz", seed=4)
    run(root)
    return root


@pytest.fixture
def two(tmp_path: Path, two_denoised: Path) -> Path:
    """A raw data set of two scans with its derivative, for one test alone."""
    return shutil.copytree(two_denoised, tmp_path / "raw")


def run(root: Path, *options: object, code: int = 0, output: Path | None = None) -> dict[str, Any]:
    found = cli("bids", root, output or root / OUTPUT, "participant", *FAST, *options, "--json", code=code)
    return json.loads(found.stdout)


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def values(path: Path) -> np.ndarray:
    return np.asarray(nib.load(path).dataobj)


def test_the_validator_finds_no_error_alone_or_from_the_raw_data(done: Path) -> None:
    assert bids_errors(done / OUTPUT) == []
    assert bids_errors(done, "-r") == []


def test_every_file_has_its_place(done: Path) -> None:
    found = set(files(done / OUTPUT))
    wanted = {"dataset_description.json", "README.md", "logs/CITATION.md"}
    for scan in SCANS:
        folder, name = scan.rpartition("/")[::2]
        base, suffix = name.removesuffix(".gz").removesuffix(".nii").rpartition("_")[::2]
        for desc in ("denoised", "sigma", "residual"):
            wanted |= {f"{folder}/{base}_desc-{desc}_{suffix}{end}" for end in (".nii.gz", ".json")}
        wanted |= {f"logs/{folder}/{base}_{suffix}{end}" for end in (".json", ".png")}
    wanted |= {f"sub-02/ses-1/dwi/sub-02_ses-1_dir-AP_dwi{end}" for end in (".bval", ".bvec")}
    bold = "sub-02/ses-1/func/sub-02_ses-1_task-rest_run-1"
    wanted |= {f"{bold}_events{end}" for end in (".tsv", ".json")}
    wanted |= {f"{bold}_recording-cardiac_physio{end}" for end in (".tsv.gz", ".json")}
    wanted.add("sub-02/ses-1/perf/sub-02_ses-1_aslcontext.tsv")
    assert found == wanted
    dwi = done / OUTPUT / "sub-02" / "ses-1" / "dwi" / "sub-02_ses-1_dir-AP_dwi.bval"
    assert dwi.read_bytes() == (done / "dwi.bval").read_bytes()


def test_no_page_is_written_into_raw_data(two: Path) -> None:
    before = files(two)
    assert "holds raw data" in cli("report", two, code=2).stderr
    assert files(two) == before
    cli("report", two / OUTPUT)
    assert (two / OUTPUT / "logs" / "mri-denoise-report.html").is_file()


@pytest.mark.parametrize("layout", ["derivative", "raw"])
def test_scans_that_differ_by_desc_alone_have_results_of_their_own(tmp_path: Path, layout: str) -> None:
    """As tools that remove faces leave them."""
    root, output = tmp_path / "raw", tmp_path / "out"
    put_json(root / "dataset_description.json", {"Name": "heads", "BIDSVersion": "1.10.0"})
    for seed, desc in enumerate(("", "_desc-defaced", "_desc-mean")):
        put_image(root / "sub-01" / "anat" / f"sub-01{desc}_T1w.nii.gz", seed=seed)
    found = run(root, "--output-layout", layout, "--noise-map", "--report", output=output)
    assert len({name for record in found["done"] for name in record["outputs"]}) == 3
    assert len({name for record in found["done"] for name in record["companions"]}) == 6
    if layout == "derivative":
        assert (output / "sub-01" / "anat" / "sub-01_desc-defaceddenoised_T1w.json").is_file()
    pages = list((output / "logs").rglob("*_report.html"))
    assert len(pages) == 3 and all(">Noise map<" in page.read_text() for page in pages)
    assert run(root, "--output-layout", layout, "--noise-map", "--report", output=output)["due"] == []


def test_images_are_those_of_the_plain_command_with_header_and_type(done: Path, tmp_path: Path) -> None:
    cli("denoise", done / SCANS[0], tmp_path / "plain.nii.gz", *FAST)
    result = done / OUTPUT / "sub-01" / "anat" / "sub-01_desc-denoised_T1w.nii.gz"
    assert result.read_bytes() == (tmp_path / "plain.nii.gz").read_bytes()
    removed = result.with_name("sub-01_desc-residual_T1w.nii.gz")
    np.testing.assert_allclose(values(result) + values(removed), values(done / SCANS[0]), atol=0.501)
    assert (values(result.with_name("sub-01_desc-sigma_T1w.nii.gz")) == 30).all()


def test_json_files_carry_the_source_over_and_say_what_was_done(done: Path) -> None:
    folder = done / OUTPUT
    description = read_json(folder / "dataset_description.json")
    software, model = description["GeneratedBy"]
    weights = read_json(folder / "logs" / "sub-01" / "anat" / "sub-01_T1w.json")["model"]["weights_sha256"]
    assert description["DatasetType"] == "derivative" and software["Name"] == "mri-denoise" and software["Version"]
    assert weights in model["Description"] and description["License"] == "CC0"
    assert (folder / description["DatasetLinks"]["raw"]).resolve() == done.resolve()
    bold = read_json(folder / SCANS[3].replace("_bold.nii.gz", "_desc-denoised_bold.json"))
    inherited = {"RepetitionTime": 2.0, "TaskName": "rest", "Manufacturer": "GE"}
    made = {"SkullStripped": False, "Sources": [f"bids:raw:{SCANS[3]}"], "Sigma": [30.0, 30.0], "Strength": 1.0}
    more = {"SigmaOrigin": "given", "Model": "hmad_rician", "WeightsSHA256": weights}
    assert {**inherited, **made, **more}.items() <= bold.items()
    residual = read_json(folder / SCANS[0].replace("_T1w.nii.gz", "_desc-residual_T1w.json"))
    assert residual["EchoTime"] == 0.003 and "removed" in residual["Description"] and residual["Sigma"] == 30.0
    perfusion = read_json(folder / SCANS[5].replace("_asl.nii.gz", "_desc-denoised_asl.json"))
    assert ASL.items() <= perfusion.items()
    text = (folder / "logs" / "CITATION.md").read_text()
    assert "mri-denoise" in text and weights[:16] in text and "Umair" in text and "given as 30" in text


def test_the_sentence_for_the_methods_tells_no_noise_level_where_the_model_uses_none(one: Path) -> None:
    cli("bids", one, one / OUTPUT, "participant", "--model", "salt-pepper")
    text = (one / OUTPUT / "logs" / "CITATION.md").read_text()
    assert "hmad_salt_pepper" in text and "noise level" not in text


def test_a_second_run_writes_nothing(done: Path) -> None:
    times = {path: path.stat().st_mtime_ns for path in (done / OUTPUT).rglob("*")}
    for options in ((), ("--residual", "--noise-map")):
        report = run(done, *options)
        assert (report["done_before"], report["due"], report["done"]) == (SCANS, [], [])
    assert {path: path.stat().st_mtime_ns for path in (done / OUTPUT).rglob("*")} == times


def test_the_group_level_makes_a_table_of_all_scans(done: Path, tmp_path: Path) -> None:
    root = tmp_path / "raw"
    shutil.copytree(done, root)
    cli("bids", root, root / OUTPUT, "group")
    header, *rows = (root / OUTPUT / "logs" / "group.tsv").read_text().splitlines()
    table = [dict(zip(header.split("\t"), row.split("\t"), strict=True)) for row in rows]
    assert [row["scan"] for row in table] == SCANS and {row["status"] for row in table} == {"done"}
    assert {row["sigma"] for row in table} == {"30.0"} and table[0]["session_id"] == "n/a"
    assert bids_errors(root / OUTPUT) == []
    (root / OUTPUT / "sub-01" / "anat" / "sub-01_desc-denoised_T2w.nii.gz").unlink()
    found = cli("bids", root, root / OUTPUT, "group", "--json", code=1)
    assert json.loads(found.stdout)["missing"] == [SCANS[1]] and SCANS[1] in found.stderr


def _table(root: Path) -> dict[str, dict[str, str]]:
    with open(root / OUTPUT / "logs" / "group.tsv", encoding="utf-8", newline="") as table:
        return {row["scan"]: row for row in csv.DictReader(table, delimiter="\t")}


def test_the_group_level_names_scans_whose_content_is_not_here(two: Path) -> None:
    """What has a result is done, wherever its source is now."""
    first, second = (f"sub-0{n}/anat/sub-0{n}_T{n}w.nii.gz" for n in (1, 2))
    absent, empty = "sub-03/anat/sub-03_T1w.nii.gz", "sub-04/anat/sub-04_T1w.nii.gz"
    for scan in (first, absent):
        (two / scan).parent.mkdir(parents=True, exist_ok=True)
        (two / scan).unlink(missing_ok=True)
        (two / scan).symlink_to("../../.git/annex/objects/aa/bb/key")
    put_image(two / "sub-05" / "anat" / "sub-05_T1w.nii.gz")
    (two / empty).parent.mkdir(parents=True)
    (two / empty).touch()
    found = cli("bids", two, two / OUTPUT, "group", "--json", code=1)
    told, table = json.loads(found.stdout), _table(two)
    assert told["done"] == 2 and told["missing"] == ["sub-05/anat/sub-05_T1w.nii.gz"]
    assert {one["case"]: one["error"] for one in told["failed"]} == {
        scan: table[scan]["reason"] for scan in (absent, empty)
    }
    assert [row["status"] for row in table.values()] == ["done", "done", "failed", "failed", "missing"]
    assert "datalad get" in table[absent]["reason"] and "empty file" in table[empty]["reason"]
    assert table[first]["reason"] == "n/a" and f"failed {absent}: its content is not here" in found.stderr
    assert bids_errors(two / OUTPUT) == []


def test_the_group_level_of_some_keeps_the_rows_of_the_others(two: Path) -> None:
    first, second = (f"sub-0{n}/anat/sub-0{n}_T{n}w.nii.gz" for n in (1, 2))
    cli("bids", two, two / OUTPUT, "group", "--suffix", "T2w")
    assert list(_table(two)) == [second], "nobody asked for the other one yet"
    cli("bids", two, two / OUTPUT, "group")
    before = _table(two)
    assert list(before) == [first, second]
    said = cli("bids", two, two / OUTPUT, "group", "--suffix", "T2w").stdout
    assert _table(two) == before and "1 scan done, 0 missing, 0 failed. 1 row of scans not selected kept." in said
    (two / OUTPUT / "sub-01" / "anat" / "sub-01_desc-denoised_T1w.nii.gz").unlink()
    found = json.loads(cli("bids", two, two / OUTPUT, "group", "--suffix", "T2w", "--json").stdout)
    assert _table(two)[first]["status"] == "missing", "a row that is kept is right"
    assert (found["done"], found["missing"], found["kept"]) == (1, [], 1)
    (two / first).unlink()
    cli("bids", two, two / OUTPUT, "group", "--suffix", "T2w")
    assert list(_table(two)) == [second], "a scan that is gone has no row"


def test_computers_that_divide_a_data_set_do_each_participant_once(two: Path) -> None:
    shutil.rmtree(two / "derivatives")
    shares = [run(two, "--share", f"{number}/2")["selected"] for number in (2, 1)]
    assert shares == [["sub-02/anat/sub-02_T2w.nii.gz"], ["sub-01/anat/sub-01_T1w.nii.gz"]]
    cli("bids", two, two / OUTPUT, "group")
    assert (
        len(json.loads(cli("denoise", two, two / OUTPUT, *FAST, "--share", "1/2", "--json").stdout)["done_before"]) == 1
    )


def _touch_source(root: Path) -> None:
    put_image(root / SCANS[0], seed=9)


def _lose_image(root: Path) -> None:
    (root / OUTPUT / "sub-01" / "anat" / "sub-01_desc-denoised_T1w.nii.gz").unlink()


def _break_record(root: Path) -> None:
    (root / OUTPUT / "logs" / "sub-01" / "anat" / "sub-01_T1w.json").write_text('{"model": 1, "settings')


@pytest.mark.parametrize(
    ("change", "options", "why"),
    [
        (_touch_source, (), "made of another input"),
        (_lose_image, (), "lacks sub-01_desc-denoised_T1w.nii.gz"),
        (_break_record, (), "record cannot be read"),
        (lambda root: None, ("--strength", 0.5), "made with strength 1.0, not 0.5"),
        (lambda root: None, ("--residual",), "lacks sub-01_desc-residual_T1w.nii.gz"),
        (lambda root: None, ("--overwrite",), "overwritten as asked"),
    ],
)
def test_what_changed_is_done_again_and_nothing_else(
    two: Path, change: Callable[[Path], None], options: tuple[object, ...], why: str
) -> None:
    before = files(two / OUTPUT)
    change(two)
    chosen = ("--participant-label", "01", *options)
    found = cli("bids", two, two / OUTPUT, "participant", *FAST, *chosen)
    assert f"{SCANS[0]}: " in found.stderr and why in found.stderr and "1 denoised, 0 up to date" in found.stdout
    after = files(two / OUTPUT)
    assert {name: after[name] for name in after if "sub-02" in name} == {n: before[n] for n in before if "sub-02" in n}
    assert run(two, "--participant-label", "01", *(o for o in options if o != "--overwrite"))["done_before"] == [
        SCANS[0]
    ]


def test_weights_that_changed_are_a_reason_and_stale_maps_go(one: Path, tmp_path: Path) -> None:
    run(one, "--residual")
    record = one / OUTPUT / "logs" / "sub-01" / "anat" / "sub-01_T1w.json"
    content = read_json(record)
    content["model"]["weights_sha256"] = "0" * 64
    record.write_text(json.dumps(content))
    plan = cli("bids", one, one / OUTPUT, "participant", *FAST, "--dry-run")
    assert "made by other weights" in plan.stderr and "1 to denoise" in plan.stdout
    run(one)
    assert sorted(path.name for path in (one / OUTPUT / "sub-01" / "anat").iterdir()) == [
        "sub-01_desc-denoised_T1w.json",
        "sub-01_desc-denoised_T1w.nii.gz",
    ]


def test_a_record_that_lacks_a_setting_is_a_reason(one: Path) -> None:
    run(one)
    record = one / OUTPUT / "logs" / "sub-01" / "anat" / "sub-01_T1w.json"
    content = read_json(record)
    del content["settings"]["quality"]
    record.write_text(json.dumps(content))
    assert "does not name the quality" in cli("bids", one, one / OUTPUT, "participant", *FAST, "--dry-run").stderr


def test_new_metadata_reach_the_json_file_without_denoising(one: Path) -> None:
    run(one)
    put_json(one / "T1w.json", {"EchoTime": 0.004, "SkullStripped": True})
    assert run(one)["done_before"] == [SCANS[0]]
    found = read_json(one / OUTPUT / "sub-01" / "anat" / "sub-01_desc-denoised_T1w.json")
    assert (found["EchoTime"], found["SkullStripped"]) == (0.004, True)
    put_json(one / "T1w.json", {"SkullStripped": "n/a"})
    run(one)
    found = read_json(one / OUTPUT / "sub-01" / "anat" / "sub-01_desc-denoised_T1w.json")
    assert found["SkullStripped"] is False, "a text is no answer"


def test_bad_scans_are_listed_and_the_rest_goes_on(tmp_path: Path) -> None:
    root = make_raw(tmp_path / "raw")
    whole = (root / SCANS[0]).read_bytes()
    (root / SCANS[0]).write_bytes(whole[: len(whole) // 2])
    (root / SCANS[1].replace(".nii", ".json")).write_text("{")
    (root / SCANS[2]).write_text("/annex/objects/MD5E-s1--absent.nii.gz\n")
    found = cli(
        "bids", root, root / OUTPUT, "participant", *FAST, "--json", "--participant-label", "01", "02", "77", code=1
    )
    report = json.loads(found.stdout)
    assert [record["case"] for record in report["done"]] == SCANS[3:]
    errors = {failure["case"]: failure["error"] for failure in report["failed"]}
    assert "damaged" in errors[SCANS[0]] or "truncated" in errors[SCANS[0]]
    assert errors[SCANS[1]].startswith(f"{SCANS[1]}: ") and "not JSON" in errors[SCANS[1]]
    assert "no such participant" in errors["sub-77"]
    assert any("datalad get" in skip["reason"] and skip["damaged"] for skip in report["skipped"])
    assert "participant 77: not in" in found.stderr
    assert bids_errors(root / OUTPUT) == []
    (root / SCANS[0]).write_bytes(whole)
    (root / SCANS[1].replace(".nii", ".json")).unlink()
    report = run(root, code=1)
    assert [record["case"] for record in report["done"]] == SCANS[:2] and report["done_before"] == SCANS[3:]


def test_the_raw_layout_is_valid_and_brings_field_maps(tmp_path: Path) -> None:
    root, output = make_raw(tmp_path / "raw"), tmp_path / "out"
    fmap = root / "sub-02" / "ses-1" / "fmap" / "sub-02_ses-1_dir-PA_epi"
    put_image(fmap.with_suffix(".nii.gz"))
    intended = [
        f"bids::{SCANS[3]}",
        "ses-1/dwi/sub-02_ses-1_dir-AP_dwi.nii.gz",
        "ses-1/dwi/sub-02_ses-1_none_dwi.nii.gz",
    ]
    facts = {"PhaseEncodingDirection": "j", "TotalReadoutTime": 0.1}
    put_json(fmap.with_suffix(".json"), {**facts, "IntendedFor": intended})
    options = ("--output-layout", "raw", "--residual")
    assert len(run(root, *options, output=output)["done"]) == len(SCANS)
    assert bids_errors(output) == []
    session = output / "sub-02" / "ses-1"
    assert (session / "func" / "sub-02_ses-1_task-rest_rec-denoised_run-1_bold.nii.gz").is_file()
    assert (session / "func" / "sub-02_ses-1_task-rest_rec-denoised_run-1_events.tsv").is_file()
    assert (session / "dwi" / "sub-02_ses-1_rec-denoised_dir-AP_dwi.bvec").is_file()
    assert (output / "participants.tsv").read_bytes() == (root / "participants.tsv").read_bytes()
    copied = session / "fmap" / fmap.name
    assert copied.with_suffix(".nii.gz").read_bytes() == fmap.with_suffix(".nii.gz").read_bytes()
    assert read_json(copied.with_suffix(".json"))["IntendedFor"] == [
        "bids::sub-02/ses-1/func/sub-02_ses-1_task-rest_rec-denoised_run-1_bold.nii.gz",
        "ses-1/dwi/sub-02_ses-1_rec-denoised_dir-AP_dwi.nii.gz",
    ]
    assert read_json(output / "dataset_description.json")["DatasetType"] == "raw"
    before = files(output)
    assert run(root, *options, output=output)["done_before"] == SCANS and files(output) == before
    assert "raw layout, not derivative" in cli("bids", root, output, "participant", *FAST, code=2).stderr
    fmap.with_suffix(".nii.gz").write_text("/annex/objects/MD5E-s1--absent.nii.gz\n")
    found = cli("bids", root, output, "participant", *FAST, *options, "--json", code=1)
    assert ["datalad get" in failure["error"] for failure in json.loads(found.stdout)["failed"]] == [True]
    assert files(output) == before, "a pointer is no image"


@pytest.mark.parametrize("layout", ["derivative", "raw"])
def test_a_calibration_scan_names_the_result_that_it_is_for(tmp_path: Path, layout: str) -> None:
    root, output = tmp_path / "raw", tmp_path / "out"
    put_json(root / "dataset_description.json", {"Name": "one", "BIDSVersion": "1.10.0"})
    perf = root / "sub-01" / "perf"
    asl = put_image(perf / "sub-01_run-2_asl.nii.gz", 2)
    put_json(perf / "sub-01_run-2_asl.json", {**ASL, "M0Type": "Separate"})
    (perf / "sub-01_run-2_aslcontext.tsv").write_text("volume_type\ncontrol\nlabel\n")
    put_image(perf / "sub-01_run-1_m0scan.nii.gz")  # before the series that it is for
    facts = {"RepetitionTimePreparation": 4.0, "EchoTime": 0.01, "FlipAngle": 90}
    intended = ["perf/sub-01_run-2_asl.nii.gz", f"bids::{asl.relative_to(root).as_posix()}"]
    put_json(perf / "sub-01_run-1_m0scan.json", {**facts, "IntendedFor": intended})
    run(root, "--output-layout", layout, output=output)
    assert bids_errors(output) == []
    (denoised,) = (output / "sub-01" / "perf").glob("*_asl.nii.gz")
    (described,) = (output / "sub-01" / "perf").glob("*_m0scan.json")
    assert read_json(described)["IntendedFor"] == [f"perf/{denoised.name}", f"bids::sub-01/perf/{denoised.name}"]
    before = files(output)
    run(root, "--output-layout", layout, output=output)
    assert files(output) == before


def test_the_source_is_named_as_it_is_called(tmp_path: Path) -> None:
    """A name whose entities are in another order than BIDS has them leads to its file."""
    root = tmp_path / "raw"
    put_json(root / "dataset_description.json", {"Name": "one", "BIDSVersion": "1.10.0"})
    source = put_image(root / "sub-01" / "anat" / "sub-01_run-1_acq-fast_T1w.nii.gz").relative_to(root).as_posix()
    assert run(root)["selected"] == [source]
    described = root / OUTPUT / "sub-01" / "anat" / "sub-01_acq-fast_run-1_desc-denoised_T1w.json"
    assert read_json(described)["Sources"] == [f"bids:raw:{source}"]


def test_plain_denoise_of_a_data_set_does_this_layout(one: Path, tmp_path: Path) -> None:
    put_image(one / "derivatives" / "other" / "sub-01_T1w.nii.gz")
    report = json.loads(cli("denoise", one, one / OUTPUT, *FAST, "--json").stdout)
    assert [record["case"] for record in report["done"]] == [SCANS[0]]
    assert run(one)["done_before"] == [SCANS[0]]
    assert bids_errors(one / OUTPUT) == []
    assert "0 denoised, 1 up to date" in cli("denoise", one, one / OUTPUT, *FAST).stdout


def test_results_are_not_taken_for_input(one: Path, tmp_path: Path) -> None:
    run(one)
    run(one, "--output-layout", "raw", output=tmp_path / "rawlike")
    for results in (one / OUTPUT, tmp_path / "rawlike"):
        for words in (("bids", results, tmp_path / "out", "participant"), ("denoise", results, tmp_path / "out")):
            assert "give the raw data" in cli(*words, code=2).stderr
    (one / "dataset_description.json").write_text("{")
    assert "not JSON" in cli("denoise", one, tmp_path / "out", code=2).stderr
    assert not (tmp_path / "out").exists()


def test_a_scan_travels_to_a_worker_with_the_places_of_its_results() -> None:
    scan = Scan(path=Path("a"), folder=Path("sub-1/anat"), name=parse("sub-1_T1w.nii"))
    case = Layout(kind="derivative").case(scan)
    there = pickle.loads(pickle.dumps(case))
    assert there == case and there.companions == case.companions
    assert there.companion(Path(), "", ".json") == Path("logs/sub-1/anat/sub-1_T1w.json")


def test_pages_lie_in_logs_and_are_made_of_earlier_results_too(one: Path) -> None:
    run(one)
    images = {name: data for name, data in files(one / OUTPUT).items() if name.endswith(".nii.gz")}
    assert run(one, "--report")["done_before"] == [SCANS[0]]
    logs = one / OUTPUT / "logs"
    page = logs / "sub-01" / "anat" / "sub-01_T1w_report.html"
    assert "<html" in page.read_text(encoding="utf-8") and (logs / "mri-denoise-report.html").is_file()
    assert images.items() <= files(one / OUTPUT).items() and bids_errors(one / OUTPUT) == []
    page.unlink()
    (logs / "mri-denoise-report.html").unlink()
    cli("bids", one, one / OUTPUT, "group", "--report")  # after the jobs of a cluster, none of which sees all
    assert page.is_file() and "one: denoised" in (logs / "mri-denoise-report.html").read_text(encoding="utf-8")
    assert len(run(one, "--report", "--strength", 0.5)["done"]) == 1 and page.is_file()
    run(one)  # without a page, which would no longer be that of the result
    assert not page.exists()


def test_a_dry_run_writes_nothing(one: Path) -> None:
    report = run(one, "--dry-run")
    assert report["due"] == [SCANS[0]] and report["done"] == [] and not (one / OUTPUT).exists()


def test_options_of_fmriprep_are_taken(one: Path, tmp_path: Path) -> None:
    known = ("--skip-bids-validation", "--bids-database-dir", tmp_path / "db", "-w", tmp_path / "work", "--n-cpus", 1)
    words = (
        *FAST,
        *known,
        "--participant_label",
        "sub-01",
        "02",
        one,
        one / OUTPUT,
        "participant",
        "--dry-run",
        "--json",
    )
    (one / "dataset_description.json").unlink()
    put_image(one / "sub-02" / "anat" / "sub-02_T1w.nii.gz")
    assert len(json.loads(cli("bids", *words).stdout)["due"]) == 2
    assert cli("bids", "--version").stdout.strip() == cli("--version").stdout.strip()


def test_scans_that_need_more_memory_than_allowed_are_listed(one: Path) -> None:
    assert "more than the limit of 50 MB" in run(one, "--mem-mb", 50, code=1)["failed"][0]["error"]
    assert len(run(one, "--mem-mb", 1000)["done"]) == 1
    before = files(one / OUTPUT)
    assert "limit of 50 MB" in run(one, "--mem-mb", 50, "--overwrite", code=1)["failed"][0]["error"]
    assert files(one / OUTPUT) == before


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("RAW", "RAW", "participant"), 2, "is the input"),
        (("RAW", "RAW/sub-01/out", "participant"), 2, "lies inside the raw data"),
        (("RAW", "RAW/derivatives", "participant"), 2, "holds a folder for each pipeline"),
        (("RAW", "FULL", "participant"), 2, "no results of mri-denoise"),
        (("RAW", "OTHER", "participant"), 2, "another pipeline's results"),
        (("RAW", "FULL/file", "participant"), 2, "is a file"),
        (("FULL", "OUT", "participant"), 2, "not a BIDS data set"),
        (("RAW", "OUT", "participant", "--participant-label", "8", "9"), 2, "none of the participants"),
        (("RAW", "OUT", "participant", "--suffix", "FLAIR"), 1, "no image to denoise is left"),
        (("RAW", "OUT", "participant", "--sigma", "FULL/file"), 2, "fits one image"),
        (("RAW", "OUT", "participant", "--bids-filter-file", "FULL/none.json"), 2, "no such file"),
        (("RAW", "OUT", "group"), 1, "run the participant level first"),
        (("RAW", "OUT", "group", "--dry-run"), 2, "is for the participant level"),
        (("RAW", "OUT", "session"), 2, "session"),
        (("RAW", "OUT", "participant", "--share", "3/2"), 2, "--share 3/2: must be K/N"),
        (("RAW", "OUT", "participant", "--share", "1/2"), 2, "more shares than participants (1)"),
        (("RAW", "OUT", "group", "--share", "1/2"), 2, "is for the participant level"),
    ],
)
def test_wrong_use_is_one_line(one: Path, tmp_path: Path, words: tuple[str, ...], code: int, says: str) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("x")
    put_json(tmp_path / "other" / "dataset_description.json", {"GeneratedBy": [{"Name": "fMRIPrep"}]})
    before = files(tmp_path)
    places = {"RAW": one, "OUT": tmp_path / "out", "FULL": tmp_path / "full", "OTHER": tmp_path / "other"}
    given = [word.replace(key, str(places[key])) if (key := word.split("/")[0]) in places else word for word in words]
    found = cli("bids", *given, code=code)
    assert says in " ".join(found.stderr.split()) and files(tmp_path) == before


def test_an_output_that_cannot_be_written_is_one_line(one: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    found = cli("bids", one, tmp_path / "file" / "out", "participant", *FAST, code=1)
    assert "cannot be written" in found.stderr and "Errno" not in found.stderr


class Stop(BaseException):
    """Ends a run like a signal, between two steps."""


@pytest.mark.parametrize("every", [5, pytest.param(1, marks=pytest.mark.slow)])
def test_a_run_that_ends_at_any_rename_is_completed_by_the_next(
    one: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, every: int
) -> None:
    import os

    put_json(one / "sub-01" / "anat" / "sub-01_T1w.json", {"EchoTime": 0.1})
    run(one, "--residual", output=tmp_path / "wanted")
    wanted = {name: data for name, data in files(tmp_path / "wanted").items() if "logs/sub" not in name}
    usual, renames = os.replace, 0
    for last in range(0, 20, every):
        output = tmp_path / f"out{last}"
        if last % 2:  # over an earlier result with other settings
            run(one, "--strength", 0.5, output=output)
        renames = 0

        def replace(source: Path, target: Path, last: int = last) -> None:
            nonlocal renames
            renames += 1
            if renames > last:
                raise Stop
            usual(source, target)

        monkeypatch.setattr(os, "replace", replace)
        ended = None
        try:
            run(one, "--residual", output=output)
        except BaseException as error:  # the runner hands on what it does not know
            ended = error
        monkeypatch.setattr(os, "replace", usual)
        run(one, "--residual", output=output)
        found = {name: data for name, data in files(output).items() if "logs/sub" not in name}
        assert found == wanted, last
        assert run(one, "--residual", output=output)["done_before"] == [SCANS[0]]
        if ended is None:
            break
    else:
        pytest.fail("more renames than expected")
    assert last >= 6
