"""What a run may write, what it leaves alone, and how a second run goes on."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from pydicom.data import get_testdata_file

from tests.commands import cli, make_bundle

SHAPE = (24, 24, 6)
AFFINE = np.diag([2.0, 2.0, 4.0, 1.0])


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle("hmad_rician", tmp_path_factory.mktemp("bundle") / "tiny")


def save(path: Path, seed: int = 0, affine: np.ndarray = AFFINE) -> Path:
    path.parent.mkdir(exist_ok=True)
    values = np.random.default_rng(seed).rayleigh(100, SHAPE).astype(np.int16)
    kind = nib.MGHImage if path.suffix == ".mgz" else nib.Nifti1Image
    nib.save(kind(values, affine), path)
    return path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return save(tmp_path / "in" / "a.nii")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_second_run_goes_on_where_the_first_ended(tmp_path: Path, source: Path, bundle: Path) -> None:
    output, options = tmp_path / "out", ("--model", bundle, "--sigma", 50)
    cli("denoise", source.parent, output, *options)
    before = contents(output)
    save(source.with_name("b.nii"), 1)
    again = cli("denoise", source.parent, output, *options)
    assert "1 done before by the same weights and settings" in again.stdout and "1 denoised" in again.stdout
    assert before.items() <= contents(output).items() and (output / "b.nii").exists()
    report = json.loads(cli("denoise", source.parent, output, *options, "--json").stdout)
    assert report["done_before"] == ["a.nii", "b.nii"] and report["done"] == report["failed"] == []


def test_the_output_may_be_the_folder_above_the_input(tmp_path: Path, source: Path, bundle: Path) -> None:
    save(source.with_name("in") / "b.nii", 1)  # whose result lies where another input might
    options = ("--model", bundle, "--sigma", 50, "--json")
    report = json.loads(cli("denoise", source.parent, tmp_path, *options).stdout)
    assert [record["case"] for record in report["done"]] == ["a.nii", "in/b.nii"]
    assert (tmp_path / "a.nii").is_file() and (tmp_path / "in" / "b.nii").is_file()
    again = json.loads(cli("denoise", source.parent, tmp_path, *options).stdout)
    assert again["done_before"] == ["a.nii", "in/b.nii"] and again["done"] == again["failed"] == []


def test_an_output_that_holds_all_inputs_is_said(tmp_path: Path, source: Path, bundle: Path) -> None:
    found = cli("denoise", tmp_path, source.parent, "--model", bundle, code=1)
    assert "all its images lie in the output folder" in found.stderr and contents(source.parent).keys() == {"a.nii"}


def test_a_result_whose_content_was_dropped_is_said_before_anything_is_computed(
    tmp_path: Path, source: Path, bundle: Path
) -> None:
    options = ("--model", bundle, "--sigma", 50)
    output = tmp_path / "out"
    cli("denoise", source.parent, output, *options)
    whole = contents(output)
    for name in whole:
        (output / name).unlink()
        (output / name).symlink_to(f"../.git/annex/objects/{name}")
    found = cli("denoise", source.parent, output, *options, code=1)
    assert "exists (a.nii: its content is not here" in found.stderr and "0 denoised" in found.stdout
    cli("denoise", source.parent, output, *options, "--overwrite")
    assert (output / "a.nii").read_bytes() == whole["a.nii"]


def test_each_computer_of_several_writes_the_page_of_all(tmp_path: Path, source: Path, bundle: Path) -> None:
    save(source.with_name("b.nii"), 1)
    for share in ("1/2", "2/2"):
        cli("denoise", source.parent, tmp_path / "out", "--model", bundle, "--report", "--share", share)
    page = (tmp_path / "out" / "mri-denoise-report.html").read_text()
    assert "a_report.html" in page and "b_report.html" in page


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("--strength", 0.5), "made with strength 1.0, not 0.5"),
        (("--sigma", 40), "made with sigma 50, not 40"),
        (("--residual",), "lacks a_residual.nii.gz"),
        ((), "made of another input"),
        ((), "its record cannot be read"),
        ((), "a.nii is empty"),
        ((), "made by other weights, hmad_rician"),
        ((), "made by other weights (refiner_sha256)"),
    ],
)
def test_what_differs_from_a_result_that_exists_is_said(
    tmp_path: Path, source: Path, bundle: Path, change: tuple, says: str
) -> None:
    output, model = tmp_path / "out", bundle
    cli("denoise", source, output, "--model", bundle, "--sigma", 50)
    if "input" in says:
        save(source, 1)
    if "empty" in says:
        (output / "a.nii").write_bytes(b"")
    if "record" in says:
        (output / "a.mri-denoise.json").write_text("[]")
    if "weights" in says:
        model = make_bundle("hmad_rician", tmp_path / "other")
        weights = model / "models" / ("refine.pt" if "refiner" in says else "model.pt")
        weights.write_bytes(weights.read_bytes() + b"\0")
    before = contents(output)
    again = cli("denoise", source, output, "--model", model, "--sigma", 50, *change, code=1)
    assert says in again.stderr and "use --overwrite" in again.stderr
    assert contents(output) == before


def test_a_map_of_other_content_is_another_setting(tmp_path: Path, source: Path, bundle: Path) -> None:
    level = tmp_path / "level.nii.gz"
    options = ("denoise", source, tmp_path / "out", "--model", bundle, "--sigma", level)
    for value, code in ((30, 0), (30, 0), (31, 1)):
        nib.save(nib.Nifti1Image(np.full(SHAPE, value, np.float32), AFFINE), level)
        said = cli(*options, code=code)
    assert "another input" in said.stderr


@pytest.mark.parametrize("together", [1, 2, 3])
def test_a_map_of_each_volume_fits_a_series_that_is_read_in_parts(
    tmp_path: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch, together: int
) -> None:
    monkeypatch.setattr("mri_denoise.io.chunks.CHUNK_VOXELS", together * np.prod(SHAPE))
    series = np.random.default_rng(0).rayleigh(100, (*SHAPE, 3)).astype(np.int16)
    nib.save(nib.Nifti1Image(series, AFFINE), tmp_path / "series.nii")
    levels = {3: [20.0, 40.0, 60.0], 1: [20.0, 20.0, 20.0], 2: None}
    for count, expected in levels.items():
        steps = 20 * np.arange(1, count + 1, dtype=np.float32)
        nib.save(nib.Nifti1Image(np.broadcast_to(steps, (*SHAPE, count)).copy(), AFFINE), tmp_path / "level.nii")
        options = ("--model", bundle, "--sigma", tmp_path / "level.nii", "--json")
        said = cli("denoise", tmp_path / "series.nii", tmp_path / f"{count}.nii", *options, code=0 if expected else 1)
        answer = json.loads(said.stdout)
        if expected:
            assert answer["done"][0]["sigma"] == expected
        else:
            assert "2 volumes, the image 3 volumes" in answer["failed"][0]["error"]


def test_the_map_that_was_given_is_not_overwritten(tmp_path: Path, source: Path, bundle: Path) -> None:
    output = tmp_path / "out"
    output.mkdir()
    level = output / "a_noise.nii.gz"
    nib.save(nib.Nifti1Image(np.full(SHAPE, 30, np.float32), AFFINE), level)
    before = level.read_bytes()
    options = ("--model", bundle, "--sigma", level, "--noise-map", "--overwrite")
    said = cli("denoise", source, output, *options, code=1).stderr
    assert "a_noise.nii.gz: is an input and is not overwritten" in said and level.read_bytes() == before


def test_an_output_that_can_be_no_result_is_refused_before_anything_is_computed(
    tmp_path: Path, source: Path, bundle: Path
) -> None:
    before = source.read_bytes()
    (tmp_path / "link.nii.gz").symlink_to(source)
    picture = tmp_path / "a.png"
    Image.fromarray(np.zeros((32, 32), np.uint8)).save(picture)
    dicom = get_testdata_file("MR_small.dcm")
    for given, output, words in (
        (source, source, "is the input"),
        (source, source.parent, "is the input"),
        (source, tmp_path / "link.nii.gz", "is the input"),
        (source, tmp_path / "out.mgz", "name the output .nii or .nii.gz"),
        (source, tmp_path / "out.png", "name the output .nii or .nii.gz"),
        (picture, tmp_path / "out.nii.gz", "a picture stays one"),
        (dicom, tmp_path / "out.nii.gz", "--to-nifti"),
        (source.parent, tmp_path / "out.nii.gz", "need a folder"),
    ):
        assert words in cli("denoise", given, output, "--model", bundle, code=2).stderr
    assert not any(tmp_path.glob("out*")) and source.read_bytes() == before


@pytest.mark.parametrize(
    "words",
    [("denoise", "", "out"), ("denoise", "a.nii", ""), ("bids", "", "out", "participant"), ("data", "scans", "")],
)
def test_a_variable_that_is_not_set_is_not_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "a.nii")
    assert "an argument is empty" in cli(*words, code=2).stderr
    assert [path.name for path in tmp_path.iterdir()] == ["a.nii"]


@pytest.mark.parametrize("name", ["a_residual.nii.gz", "a_noise.nii.gz", "a_figure.png", "a.mri-denoise.json"])
def test_companions_are_not_overwritten_unasked(tmp_path: Path, source: Path, bundle: Path, name: str) -> None:
    output = tmp_path / "out"
    output.mkdir()
    (output / name).write_text("another's")
    options = ("--model", bundle, "--residual", "--noise-map", "--figure")
    assert f"{name}: exists" in cli("denoise", source, output, *options, code=1).stderr
    assert contents(output) == {name: b"another's"}
    cli("denoise", source, output, *options, "--overwrite")
    assert len(contents(output)) == 5 and contents(output)[name] != b"another's"


def test_a_name_that_is_too_long_for_a_companion_is_one_line(tmp_path: Path, source: Path, bundle: Path) -> None:
    long = source.rename(source.with_name(f"{'a' * 245}.nii"))
    said = cli("denoise", long, tmp_path / "out", "--model", bundle, "--sigma", 30, code=1).stderr
    assert "shorten its name" in said and not (tmp_path / "out").exists()


def test_what_belongs_to_an_image_goes_with_its_result(tmp_path: Path, source: Path, bundle: Path) -> None:
    """B-values and directions, without which a diffusion series is of no use, and the JSON file of dcm2niix."""
    told = {"a.bval": b"0 1000", "a.bvec": b"0 1\n0 0\n0 0", "a.json": b'{"EchoTime": 0.08}'}
    for name, content in told.items():
        source.with_name(name).write_bytes(content)
    source.with_name("ab.bval").write_bytes(b"another's")
    options = ("--model", bundle, "--sigma", 50)
    cli("denoise", source.parent, tmp_path / "out", *options)
    written = contents(tmp_path / "out")
    assert told.items() <= written.items() and len(written) == len(told) + 2
    said = json.loads(written["a.mri-denoise.json"])["companions"]
    assert [Path(path).name for path in said] == ["a.json", "a.bval", "a.bvec"]
    cli("denoise", source, tmp_path / "one" / "b.nii.gz", *options)
    assert (tmp_path / "one" / "b.bvec").read_bytes() == told["a.bvec"]
    (tmp_path / "out" / "a.bvec").write_bytes(b"corrected")  # what is there is kept, also when all is made again
    cli("denoise", source.parent, tmp_path / "out", *options, "--overwrite")
    assert contents(tmp_path / "out")["a.bvec"] == b"corrected"
    said = json.loads(contents(tmp_path / "out")["a.mri-denoise.json"])["companions"]
    assert [Path(path).name for path in said] == ["a.json", "a.bval"]
    source.with_name("a.bvec").unlink()
    source.with_name("a.bvec").symlink_to("nowhere")
    assert "a.bvec: not copied: broken link" in cli("denoise", source, tmp_path / "other.nii", *options).stderr
    source.with_name("a.bvec").unlink()
    before = contents(source.parent)
    cli("denoise", source, source.with_name("a.nii.gz"), *options)  # shares them with its source
    assert before.items() <= contents(source.parent).items() and len(contents(source.parent)) == len(before) + 2
    save(source.with_name("a.mgz"))  # it is unknown whose they are
    source.with_name("a.nii.gz").unlink()
    cli("denoise", source.parent, tmp_path / "two", *options)
    assert not any(name.endswith(("bval", "bvec")) for name in contents(tmp_path / "two"))


def test_images_of_one_name_have_companions_of_their_own(tmp_path: Path, source: Path, bundle: Path) -> None:
    for number, name in enumerate(("a.nii.gz", "a.mgz", "b.nii")):
        save(source.with_name(name), 1 + number)
    output = tmp_path / "out"
    cli("denoise", source.parent, output, "--model", bundle, "--residual", "--figure")
    records = [json.loads(path.read_text()) for path in sorted(output.glob("*.json"))]
    assert sorted(record["case"] for record in records) == ["a.mgz", "a.nii", "a.nii.gz", "b.nii"]
    written = [path for record in records for path in record["outputs"] + record["companions"]]
    assert len(written) == len(set(written)) == 12 and (output / "b_residual.nii.gz").exists()


def test_a_companion_is_never_written_over_another_result(tmp_path: Path, source: Path, bundle: Path) -> None:
    save(source.with_name("a_residual.nii.gz"), 1)
    said = cli("denoise", source.parent, tmp_path / "out", "--model", bundle, "--residual", code=1)
    assert "a_residual.nii.gz: is written for a.nii, too" in said.stderr and "1 denoised" in said.stdout


def test_a_folder_may_have_a_dot_in_its_name(tmp_path: Path, source: Path, bundle: Path) -> None:
    cli("denoise", source, tmp_path / "study.v2", "--model", bundle)
    assert (tmp_path / "study.v2" / "a.nii").is_file()


def test_names_cannot_steer_the_terminal(tmp_path: Path, source: Path, bundle: Path) -> None:
    odd = source.with_name("a\x1b[31m\u202e\nb.nii")
    source.rename(odd)
    (source.parent / "c\x1b]0;.nii").write_bytes(b"no image")
    said = cli("denoise", source.parent, tmp_path / "out", "--model", bundle, code=1)
    assert (tmp_path / "out" / odd.name).is_file()
    assert not {"\x1b", "\u202e"} & set(said.output) and "a\\x1b[31m\\u202e\\nb.nii" in said.output


@pytest.mark.parametrize("tail", [bytes(700), b"what an upload left behind" * 40, b"x"])
def test_what_follows_the_gzip_data_is_ignored(tmp_path: Path, source: Path, bundle: Path, tail: bytes) -> None:
    packed = source.with_name("b.nii.gz")
    packed.write_bytes(gzip.compress(source.read_bytes()) + tail)
    cli("denoise", source.parent, tmp_path / "out", "--model", bundle)
    assert np.array_equal(*(nib.load(tmp_path / "out" / name).dataobj for name in ("a.nii", "b.nii.gz")))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = os.name == "posix" and hasattr(os, "geteuid") and os.geteuid() == 0
    if not mounted or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "none", folder]).returncode:
        pytest.skip("needs the right to mount a file system")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_is_one_line(small_disk: Path, source: Path, bundle: Path) -> None:
    said = cli("denoise", source, small_disk, "--model", bundle, code=1).stderr
    assert said.startswith("failed ") and len(said.splitlines()) == 1 and "No space left" in said
    assert not any(small_disk.iterdir())


def test_maps_and_images_in_another_space_are_refused(tmp_path: Path, source: Path, bundle: Path) -> None:
    moved = AFFINE.copy()
    moved[0, 3] = 6
    level = tmp_path / "level.nii.gz"
    nib.save(nib.Nifti1Image(np.full(SHAPE, 30, np.float32), moved), level)
    said = cli("denoise", source, tmp_path / "out", "--model", bundle, "--sigma", level, code=1).stderr
    assert "another space than the image" in said and len(said.splitlines()) == 1
    other = save(tmp_path / "other" / "a.nii", 0, moved)
    assert "another space" in cli("evaluate", source, other, code=1).stderr
    assert "another space" in cli("evaluate", source, source, "--mask", level, code=1).stderr
    series = nib.concat_images([str(source)] * 3)
    nib.save(series, tmp_path / "series.nii")
    assert "holds 3 volumes" in cli("evaluate", source, tmp_path / "series.nii", code=1).stderr
