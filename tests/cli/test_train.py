"""``mri-denoise train`` from outside: the scans that it takes, the bundle that it makes, and what is refused."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
import yaml
from monai.bundle import ConfigParser
from PIL import Image

from mri_denoise.bundles.registry import find_bundle
from mri_denoise.io import discover
from mri_denoise.simulation import write_phantom_dicom
from mri_denoise.training.begin import begin, load_beginning
from mri_denoise.training.course import EpochResult, Watcher
from mri_denoise.training.scans import candidates_of, read_datalist
from mri_denoise.training.train import TrainSettings, export_weights, train_bundle
from tests.commands import cli
from tests.phantoms import mirrored

ROOT = Path(__file__).parents[2]
SHAPE = (32, 36, 14)
AFFINE = np.diag([1.0, 1.0, 3.0, 1.0])
QUICK = {"epoch_length": 2, "batch_size": 2, "patch_size": 16, "num_workers": 0, "val_sigmas": [[0.05], [0.1]]}


@pytest.fixture(scope="module", autouse=True)
def state(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What is trusted is kept in a folder of these tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        patch.setenv("LOCALAPPDATA", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped bundle with a small network and quick settings."""
    folder = tmp_path_factory.mktemp("bundle") / "small"
    shutil.copytree(
        ROOT / "bundles" / "hmad_rician", folder, ignore=shutil.ignore_patterns("model.pt", "SHA256SUMS", "train")
    )
    torch.manual_seed(0)
    for name in ("inference.yaml", "train.yaml"):
        path = folder / "configs" / name
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        content["network_def"].update(channels=[8, 16], shuffle=1, head="residual")
        content.update(QUICK if name == "train.yaml" else {})
        network = ConfigParser(content).get_parsed_content("network_def")
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
    torch.save(network.state_dict(), folder / "state.pt")
    export_weights(folder / "state.pt", folder / "models")
    (folder / "state.pt").unlink()
    return folder


def put(path: Path, seed: int = 0, *more: int, shape: tuple[int, int, int] = SHAPE) -> Path:
    """A noisy phantom, of several volumes if there is a number of them."""
    rng = np.random.default_rng(seed)
    clean = (900 * mirrored(SHAPE, seed))[tuple(slice(n) for n in shape)].reshape(*shape, *[1] * len(more))
    noisy = np.hypot(clean + rng.normal(0, 20, (*shape, *more)), rng.normal(0, 20, (*shape, *more)))
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(noisy.astype(np.float32), AFFINE), path)
    return path


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three people with a scan each."""
    folder = tmp_path_factory.mktemp("scans")
    for seed, name in enumerate(("anna", "ben", "cleo")):
        put(folder / name / "T1w.nii.gz", seed)
    return folder


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def lists(output: Path) -> dict[str, Any]:
    return json.loads((output / "train" / "datalist.json").read_text())


def test_a_folder_of_scans_gives_a_bundle_that_denoises(tmp_path: Path, scans: Path, bundle: Path) -> None:
    folder, output = tmp_path / "my scans", tmp_path / "mine"
    shutil.copytree(scans, folder)
    put(folder / "anna" / "bold.nii.gz", 3, 2)
    holes = nib.load(folder / "ben" / "T1w.nii.gz").get_fdata(dtype=np.float32)
    holes[4, 4] = np.nan
    nib.save(nib.Nifti1Image(holes, AFFINE), folder / "ben" / "T1w.nii.gz")
    broken = folder / "ben" / "broken.nii.gz"
    broken.write_bytes((folder / "anna" / "T1w.nii.gz").read_bytes()[:2000])
    put(folder / "cleo" / "slab.nii.gz", shape=(32, 36, 4))
    put(folder / "cleo" / "sub-1_mask.nii.gz")
    write_phantom_dicom(folder / "dicom", mirrored(SHAPE, 4), (1.0, 1.0, 3.0))
    before = {path: path.read_bytes() for path in folder.rglob("*.nii.gz")}
    result = cli("train", folder, output, "--model", bundle, "--trust", "--epochs", 1, "--json", code=1)

    assert f"failed {broken}: truncated" in result.stderr
    assert "slab.nii.gz: 32 x 36 x 4 voxels" in result.stderr and "sub-1_mask.nii.gz: labels" in result.stderr
    assert "bold.nii.gz: holds 2 volumes" in result.stderr and "validation PSNR" in result.stderr
    assert {path: path.read_bytes() for path in folder.rglob("*.nii.gz")} == before
    found = lists(output)
    people = [{entry["subject"] for entry in found[split]} for split in ("training", "validation")]
    (patient,) = set.union(*people) - {"anna", "ben", "cleo"}
    assert patient.startswith("patient-") and not set.intersection(*people) and len(people[1]) == 1
    drawn = {(entry["name"], entry.get("weight")) for entry in found["training"]}
    assert drawn == {(name, weight) for name, _ in drawn for weight in (1.0, 3.0)}  # each as it is and as a reference
    for entry in [*found["training"], *found["validation"]]:
        image = output / "train" / entry["image"]
        assert sha256(image) == entry["sha256"]
        assert nib.load(image).shape == SHAPE and np.isfinite(nib.load(image).get_fdata()).all()

    record = json.loads(result.stdout)
    assert record == json.loads((output / "docs" / "training.json").read_text())
    assert [one["epoch"] for one in record["epochs"]] == [0, 1] and record["before"]["metrics"]["val_psnr"] > 5
    assert record["weights_sha256"] == sha256(output / "models" / "model.pt")
    pictures = sorted((output / "train" / "pictures").iterdir())
    assert [path.name for path in pictures] == ["epoch_0000.png", "epoch_0001.png"]
    with Image.open(pictures[1]) as picture:
        assert picture.width > 600 and picture.height > 200

    noisy = put(tmp_path / "noisy.nii.gz", 7)
    cli("denoise", noisy, tmp_path / "out.nii.gz", "--model", output)  # without --trust
    assert not np.array_equal(nib.load(tmp_path / "out.nii.gz").get_fdata(), nib.load(noisy).get_fdata())
    assert "ask for more" in cli(
        "train", folder, output, "--model", bundle, "--trust", "--epochs", 1, "--resume", code=1
    ).stderr  # fmt: skip


def test_no_gain_on_validation_keeps_the_weights_and_says_so(tmp_path: Path, scans: Path, bundle: Path) -> None:
    options = ("--model", bundle, "--trust", "--epochs", 1, "--no-references", "--set", "learning_rate=1000")
    result = cli("train", scans, tmp_path / "mine", *options)
    assert "did not help" in result.stdout and len(result.stdout.splitlines()) == 2
    before, after = (torch.load(path / "models" / "model.pt") for path in (bundle, tmp_path / "mine"))
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_values_that_the_training_cannot_run_with_are_one_line(tmp_path: Path, scans: Path, bundle: Path) -> None:
    options = ("--model", bundle, "--trust", "--no-references", "--epochs", 1)
    for number, (setting, words) in enumerate(
        (
            ("batch_size=0", "batch_size should be a positive integer value"),
            ("learning_rate=abc", "stopped (TypeError"),
            ("batch_size=$nonsense()", "nonsense"),
        )
    ):
        result = cli("train", scans, tmp_path / str(number), *options, "--set", setting, "--json", code=1)
        last = result.stderr.splitlines()[-1]
        assert "training of hmad_rician" in last and words in last and "--set" in last
        assert words in json.loads(result.stdout)["error"]
    cli("train", scans, tmp_path / "0", *options[:3], "--epochs", 1, "--resume")  # with the right value


def test_lists_that_are_made_for_later_are_told_to_programs(tmp_path: Path, scans: Path, bundle: Path) -> None:
    options = ("--model", bundle, "--trust", "--no-references", "--prepare-only", "--json")
    told = json.loads(cli("train", scans, tmp_path / "out", *options).stdout)
    listed = tmp_path / "out" / "train" / "datalist.json"
    assert told["output"] == str(tmp_path / "out") and told["datalist_sha256"] == sha256(listed)


def test_what_cannot_be_trained_on_is_said_in_one_line(tmp_path: Path, scans: Path) -> None:
    def refused(source: Path, output: Path, *options: object, code: int) -> str:
        said = cli("train", source, output, *options, code=code).stderr.strip().splitlines()
        assert not (tmp_path / "new").exists()
        return said[-1]

    new = tmp_path / "new"
    (tmp_path / "empty").mkdir()
    assert "no image" in refused(tmp_path / "empty", new, code=1)
    assert "no such" in refused(tmp_path / "nowhere", new, code=2)
    assert "one subject only (anna)" in refused(put(tmp_path / "one" / "anna" / "T1w.nii.gz").parents[1], new, code=1)
    put(tmp_path / "small" / "a.nii.gz", shape=(32, 36, 3))
    assert "no volume to train on" in refused(tmp_path / "small", new, code=1)
    assert "is inside" in refused(scans, scans / "new", code=2)
    assert "exists" in refused(scans, tmp_path / "empty" / "..", code=2)
    assert "no training to go on with" in refused(scans, new, "--resume", code=2)
    assert "KEY=VALUE" in refused(scans, new, "--set", "batch_size", code=2)
    for key in ("batch_sise", "optimiser#lr", "train::trainer::handler::x"):
        assert f"--set {key}: no such value" in refused(scans, new, "--set", f"{key}=4", code=2)
    (tmp_path / "listed").mkdir()
    (tmp_path / "listed" / "datalist.json").write_text("{}")
    assert "not a datalist" in refused(tmp_path / "listed", new, code=1)


def test_a_listed_folder_of_damaged_files_is_left_out(tmp_path: Path) -> None:
    put(tmp_path / "good.nii.gz")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "x.nii").touch()
    entries = {"training": [{"image": "good.nii.gz"}, {"image": "bad"}], "validation": [{"image": "bad"}]}
    (tmp_path / "datalist.json").write_text(json.dumps(entries))
    found, skips = read_datalist(tmp_path)
    assert [one.case.label for one in found] == ["good.nii.gz"] and [skip.damaged for skip in skips] == [True, True]
    assert {(skip.source, skip.reason) for skip in skips} == {
        (tmp_path / "bad", "holds no image that can be used (empty file; copy or download it again)")
    }


def test_a_bids_data_set_gives_raw_images_of_the_kinds_asked_for(tmp_path: Path, bundle: Path) -> None:
    raw, output = tmp_path / "raw", tmp_path / "mine"
    names = ["sub-01/anat/sub-01_T1w.nii.gz", "sub-02/ses-1/anat/sub-02_ses-1_T1w.nii.gz"]
    for seed, name in enumerate([*names, "sub-01/anat/sub-01_T2w.nii.gz", "derivatives/x/sub-03/anat/sub-03_T1w.nii"]):
        put(raw / name, seed)
    (raw / "dataset_description.json").write_text(json.dumps({"Name": "heads", "BIDSVersion": "1.10.0"}))
    options = ("--model", bundle, "--trust", "--suffix", "T1w", "--prepare-only", "--no-references")
    cli("train", raw, output, *options)
    found = lists(output)
    assert {entry["name"] for split in ("training", "validation") for entry in found[split]} == set(names)
    again = tmp_path / "again"
    cli("train", raw, again, *options)
    assert lists(again) == found


def test_a_list_that_is_there_is_kept(tmp_path: Path, bundle: Path) -> None:
    folder = tmp_path / "prepared"
    for seed, name in enumerate("abc"):
        put(folder / f"{name}.nii.gz", seed)
    entries = {"training": [{"image": "a.nii.gz", "weight": 2.0}, {"image": "c.nii.gz"}, {"image": "gone.nii.gz"}]}
    content = {**entries, "validation": [{"image": "b.nii.gz"}], "test": []}
    (folder / "datalist.json").write_text(json.dumps(content))
    result = cli("train", folder, tmp_path / "mine", "--model", bundle, "--trust", "--prepare-only", code=1)
    assert "gone.nii.gz" in result.stderr
    found = lists(tmp_path / "mine")
    assert [(entry["name"], entry.get("weight")) for entry in found["training"]] == [
        ("a.nii.gz", 2.0),
        ("c.nii.gz", None),
    ]
    assert [entry["name"] for entry in found["validation"]] == ["b.nii.gz"]


class Interrupted(Watcher):
    """A user who ends the training in its second epoch."""

    def step(self, epoch: int, loss: float) -> None:
        if epoch == 2:
            raise KeyboardInterrupt


class Noting(Watcher):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.epochs: list[EpochResult] = []

    def epoch(self, result: EpochResult) -> None:
        self.epochs.append(result)


def test_an_interrupted_training_goes_on_as_if_it_had_not_been(tmp_path: Path, scans: Path, bundle: Path) -> None:
    model, chosen = find_bundle(str(bundle)), TrainSettings(epochs=2, overrides={"val_interval": 2})
    found = candidates_of(discover(scans)[0])
    for name in ("whole", "stopped"):
        begin(model, found, tmp_path / name, scans, Watcher(), references=False)
    whole, rest = Noting(), Noting()
    beginning = load_beginning(tmp_path / "stopped", model)
    train_bundle(model, tmp_path / "whole", beginning, chosen, whole)
    with pytest.raises(KeyboardInterrupt):
        train_bundle(model, tmp_path / "stopped", beginning, chosen, Interrupted())
    assert not (tmp_path / "stopped" / "models" / "model.pt").exists()
    record = train_bundle(model, tmp_path / "stopped", beginning, chosen, rest)
    assert record is not None and [one.epoch for one in record.epochs] == [0, 1, 2]
    assert [one.epoch for one in rest.epochs] == [2] and rest.epochs[0].loss == pytest.approx(whole.epochs[2].loss)
    states = [tmp_path / name / "train" / "models" / "state_checkpoint_epoch=2.pt" for name in ("whole", "stopped")]
    first, second = (torch.load(path)["network"] for path in states)
    assert all(torch.equal(first[name], second[name]) for name in first)
