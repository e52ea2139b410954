"""``mri-denoise adapt`` from outside: the new bundle, its record, and what is refused."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
import yaml
from monai.bundle import ConfigParser

from mri_denoise.bundles.registry import find_bundle
from mri_denoise.io import discover
from mri_denoise.runtime import choose_precision
from mri_denoise.settings import Sigma
from mri_denoise.simulation import phantom_affine
from mri_denoise.training.adapt import AdaptSettings, adapt_bundle
from mri_denoise.training.train import export_weights
from tests.commands import cli
from tests.phantoms import head

ROOT = Path(__file__).parents[2]
SHAPE = (48, 60, 12)
SIGMA = 60.0
QUICK = {"patch_size": 32, "batch_size": 4, "held_out": 12, "interval": 20, "learning_rate": 0.01}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped bundle with a small network that does nothing yet, and quick settings."""
    folder = tmp_path_factory.mktemp("adapt") / "small"
    shutil.copytree(
        ROOT / "bundles" / "hmad_rician", folder, ignore=shutil.ignore_patterns("model.pt", "SHA256SUMS", "train")
    )
    torch.manual_seed(0)
    for name, changes in (("inference.yaml", {}), ("adapt.yaml", QUICK)):
        path = folder / "configs" / name
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        if "network_def" in content:
            # of a kind that learns something from nothing in a few steps
            content["network_def"].update(channels=[8, 16], shuffle=1, head="residual")
            network = ConfigParser(content).get_parsed_content("network_def")
        path.write_text(yaml.safe_dump({**content, **changes}), encoding="utf-8")
    torch.save(network.state_dict(), folder / "state.pt")
    export_weights(folder / "state.pt", folder / "models")
    (folder / "state.pt").unlink()
    return folder


@pytest.fixture(scope="module")
def clean() -> np.ndarray:
    return 900 * head(SHAPE)


@pytest.fixture(scope="module")
def volume(tmp_path_factory: pytest.TempPathFactory, clean: np.ndarray) -> Path:
    rng = np.random.default_rng(0)
    noisy = np.hypot(clean + rng.normal(0, SIGMA, SHAPE), rng.normal(0, SIGMA, SHAPE)).astype(np.float32)
    path = tmp_path_factory.mktemp("in") / "head.nii.gz"
    nib.save(nib.Nifti1Image(noisy, phantom_affine(SHAPE)), path)
    return path


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(autouse=True)
def subnormal_numbers() -> Iterator[None]:
    """A training flushes them to zero, and leaves the process as it was, whatever its end."""
    yield
    assert torch.tensor(1e-40) * 1 > 0


@pytest.fixture(scope="module")
def adapted(tmp_path_factory: pytest.TempPathFactory, bundle: Path, volume: Path) -> tuple[Path, dict[str, Any]]:
    output = tmp_path_factory.mktemp("out") / "mine"
    result = cli(
        "adapt", volume, "--output", output, "--model", bundle, "--trust", "--sigma", SIGMA, "--steps", 60, "--json"
    )
    return output, json.loads(result.stdout)


def test_the_new_bundle_is_whole_and_has_its_record(
    adapted: tuple[Path, dict[str, Any]], bundle: Path, volume: Path
) -> None:
    output, record = adapted
    assert record == json.loads((output / "docs" / "adaptation.json").read_text())
    assert record["improved"] and record["held_out_gain"] > 2 * record["held_out_gain_error"] > 0
    assert [point["step"] for point in record["held_out_loss"]] == [0, 20, 40, 60]
    assert min(point["loss"] for point in record["held_out_loss"]) < record["held_out_loss"][0]["loss"]
    assert record["inputs"] == [{"path": str(volume), "sha256": sha256(volume)}]
    settings = record["settings"]
    assert (settings["steps"], settings["sigma"], settings["seed"]) == (60, "60", 0)
    assert settings["precision"] == choose_precision("cpu") != "int8"  # integers have no gradients
    assert (settings["learning_rate"], settings["batch_size"]) == (QUICK["learning_rate"], QUICK["batch_size"])
    old, new = bundle / "models" / "model.pt", output / "models" / "model.pt"
    assert record["original"]["weights_sha256"] == sha256(old) != record["weights_sha256"] == sha256(new)
    assert {"python", "mri-denoise", "torch", "monai"} <= set(record["versions"])
    sums = dict(reversed(line.split("  ")) for line in (output / "models" / "SHA256SUMS").read_text().splitlines())
    assert sums == {p.name: sha256(p) for p in (output / "models").iterdir() if p.name != "SHA256SUMS"}
    assert sorted(p.name for p in output.iterdir()) == ["LICENSE", "configs", "docs", "models"]
    assert not [p for p in output.parent.iterdir() if p.name.startswith(".")]


def test_the_new_bundle_denoises_better_than_the_old(
    tmp_path: Path, adapted: tuple[Path, dict[str, Any]], bundle: Path, volume: Path, clean: np.ndarray
) -> None:
    errors = []
    for model in (bundle, adapted[0]):
        output = tmp_path / f"{model.name}.nii.gz"
        cli("denoise", volume, output, "--model", model, "--trust", "--sigma", SIGMA)
        found = nib.load(output).get_fdata(dtype=np.float32)
        errors.append(float(np.sqrt(np.mean((found - clean)[clean > 200] ** 2))))
    assert errors[0] > 0.7 * SIGMA  # the old network does nothing, and the filter that follows it only some
    assert errors[1] < 0.95 * errors[0]


def test_the_same_seed_learns_the_same_and_several_inputs_are_taken(
    tmp_path: Path, adapted: tuple[Path, dict[str, Any]], bundle: Path, volume: Path
) -> None:
    settings = AdaptSettings(sigma=Sigma(kind="level", level=SIGMA), steps=60)
    again = adapt_bundle(find_bundle(str(bundle)), discover(volume)[0], tmp_path / "again", settings)
    assert again.weights_sha256 == adapted[1]["weights_sha256"]
    shutil.copy(volume, tmp_path / "second.nii.gz")
    options = ("--output", tmp_path / "both", "--model", bundle, "--trust", "--steps", 1, "--seed", 3, "--json")
    both = json.loads(cli("adapt", volume, tmp_path / "second.nii.gz", *options).stdout)
    assert [Path(entry["path"]).name for entry in both["inputs"]] == ["head.nii.gz", "second.nii.gz"]
    assert both["settings"]["seed"] == 3 and both["settings"]["sigma"] == "auto"


def test_weights_that_gain_nothing_are_left_as_they_were(tmp_path: Path, bundle: Path, volume: Path) -> None:
    options = ("--output", tmp_path / "same", "--model", bundle, "--trust", "--steps", 2, "--learning-rate", 0)
    said = cli("adapt", volume, *options).stdout
    assert "no gain on held-out slices" in said and "the original ones" in said
    for name in ("model.pt", "SHA256SUMS"):
        assert (tmp_path / "same" / "models" / name).read_bytes() == (bundle / "models" / name).read_bytes()
    record = json.loads((tmp_path / "same" / "docs" / "adaptation.json").read_text())
    assert not record["improved"] and record["weights_sha256"] == record["original"]["weights_sha256"]


def test_wrong_usage_is_2_and_names_what_is_wrong(tmp_path: Path, bundle: Path, volume: Path) -> None:
    output = tmp_path / "out"
    assert "no such file" in cli("adapt", tmp_path / "nothing.nii", "--output", output, code=2).stderr
    assert "INPUT" in cli("adapt", "--output", output, code=2).stderr
    assert "--output" in cli("adapt", volume, code=2).stderr
    for sigma in ("much", "-1", "0", "nan"):
        assert "--sigma" in cli("adapt", volume, "--output", output, f"--sigma={sigma}", code=2).stderr
    said = cli("adapt", volume, "--output", output, "--model", "salt-pepper", code=2).stderr
    assert "salt-pepper" in said and "cannot be adapted" in said
    assert "exists" in cli("adapt", volume, "--output", volume.parent, "--model", bundle, "--trust", code=2).stderr
    assert not output.exists()


def test_a_damaged_file_beside_others_is_listed_and_the_code_is_1(tmp_path: Path, bundle: Path, volume: Path) -> None:
    folder, output = tmp_path / "in", tmp_path / "mine"
    folder.mkdir()
    shutil.copy(volume, folder)
    (folder / "empty.nii.gz").touch()
    options = ("--model", bundle, "--trust", "--sigma", SIGMA, "--steps", 1)
    said = cli("adapt", folder, "--output", output, *options, code=1).stderr
    assert f"failed {folder / 'empty.nii.gz'}: empty file" in said and (output / "models" / "model.pt").is_file()


def test_inputs_that_teach_nothing_are_1_and_leave_nothing(tmp_path: Path, bundle: Path) -> None:
    (tmp_path / "empty").mkdir()
    flat = tmp_path / "flat.nii"
    nib.save(nib.Nifti1Image(np.full((20, 20, 8), 7, np.int16), np.eye(4)), flat)
    for source, words in ((tmp_path / "empty", "no image found"), (flat, "nothing to learn from")):
        said = cli("adapt", source, "--output", tmp_path / "out", "--model", bundle, "--trust", code=1).stderr
        assert words in said
    assert sorted(p.name for p in tmp_path.iterdir()) == ["empty", "flat.nii"]
