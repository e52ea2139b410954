"""``mri-denoise benchmark`` from outside: what it writes, says and returns, and that it goes on where it was."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from PIL import Image

from mri_denoise.networks import HMADNet
from mri_denoise.noise.simulate import add_rician
from mri_denoise.simulation import phantom_affine
from mri_denoise.training.train import export_weights
from tests.commands import cli
from tests.phantoms import head

ROOT = Path(__file__).parents[3]
SHAPE = (32, 36, 12)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle with a small network of random weights."""
    folder = tmp_path_factory.mktemp("bundle") / "tiny"
    shutil.copytree(
        ROOT / "bundles" / "hmad_rician", folder, ignore=shutil.ignore_patterns("model.pt", "SHA256SUMS", "train")
    )
    options: dict[str, Any] = {"channels": [8, 16], "num_slices": 3, "noise_map": True, "head": "residual"}
    config = (folder / "configs" / "inference.yaml").read_text()
    network = json.dumps({"_target_": "mri_denoise.networks.HMADNet", "spatial_dims": 2} | options)
    (folder / "configs" / "inference.yaml").write_text(config + f"\nnetwork_def: {network}\nnum_slices: 3\n")
    torch.manual_seed(0)
    net = HMADNet(**options)
    torch.nn.init.normal_(net.last.weight, std=0.01)
    torch.save(net.state_dict(), folder / "state.pt")
    export_weights(folder / "state.pt", folder / "models")
    return folder


@pytest.fixture(scope="module")
def phantom() -> np.ndarray:
    return (900 * head(SHAPE)).astype(np.float32)


def save(array: np.ndarray, path: Path) -> Path:
    nib.save(nib.Nifti1Image(array, phantom_affine(SHAPE)), path)
    return path


def test_accuracy_from_end_to_end_and_again(tmp_path: Path, phantom: np.ndarray, bundle: Path) -> None:
    for name in ("one_T1w", "two_T2w"):
        save(phantom if name == "one_T1w" else phantom[::-1].copy(), tmp_path / f"{name}.nii.gz")
    datalist = {"validation": [{"image": f"{n}.nii.gz", "contrast": n[-3:]} for n in ("one_T1w", "two_T2w")]}
    (tmp_path / "datalist.json").write_text(json.dumps(datalist))
    output = tmp_path / "out"
    command = (
        "benchmark", "accuracy", tmp_path / "datalist.json", "--split", "validation", "--output", output,
        "--levels", "3,9", "--methods", "gaussian,wiener,tiny,dncnn", "--model", bundle, "--trust", "--device", "cpu",
        "--json",
    )  # fmt: skip
    result = cli(*command)
    record = json.loads(result.stdout)
    names = [m["name"] for m in record["methods"]]
    tiny = [f"tiny-{quality}{auto}" for quality in ("balanced", "best", "fast") for auto in ("", "-auto")]
    assert names == ["noisy", "gaussian", "wiener", *tiny]
    assert list(record["absent"]) == ["DnCNN (tiny)"] and "absent DnCNN (tiny): " in result.stderr
    assert record["settings"] == {"seed": 0, "middle": None, "split": "validation", "levels": [3.0, 9.0]}
    assert [r["label"] for r in record["references"]] == ["one_T1w", "two_T2w"]
    assert len(record["results"]) == 2 * 2 * 9 and record["failed"] == []
    assert json.loads((output / "record.json").read_text()) == record

    rows = list(csv.DictReader((output / "results.csv").open()))
    assert len(rows) == 36
    noisy = next(r for r in rows if r["method"] == "noisy" and r["level"] == "9.0")
    assert float(noisy["psnr"]) == pytest.approx(-20 * np.log10(0.09), abs=0.5)
    text = (output / "tables.md").read_text()
    for title in ("Mean, T1w (1 reference)", "Mean, all references (2 references)", "Where ours loses", "two_T2w"):
        assert f"## {title}" in text
    assert f"| Noisy | {float(rows[0]['psnr']):.2f} / {float(rows[0]['ssim']):.3f} |" in text
    for picture in ("psnr.png", "time.png", "bias.png"):
        with Image.open(output / picture) as image:
            assert image.width > 500

    cache = sorted((output / "cache").iterdir())
    assert len(cache) == 2 * 2 * 9
    before = {path: path.stat().st_mtime_ns for path in cache}
    cache[3].unlink()
    again = json.loads(cli(*command).stdout)
    assert [p for p in cache if p.stat().st_mtime_ns != before[p]] == [cache[3]]
    scores = [[{k: v for k, v in r.items() if k != "seconds"} for r in x["results"]] for x in (record, again)]
    assert scores[0] == scores[1]


def test_accuracy_of_middle_slices_by_classical_methods_alone(tmp_path: Path, phantom: np.ndarray) -> None:
    path = save(phantom, tmp_path / "head.nii.gz")
    options = ("--output", tmp_path / "out", "--levels", "5", "--methods", "median", "--middle", 8)
    assert "2 results, 0 failed" in cli("benchmark", "accuracy", path, *options).stdout
    rows = list(csv.DictReader((tmp_path / "out" / "results.csv").open()))
    assert [r["voxels"] for r in rows] == [str(SHAPE[0] * SHAPE[1] * 8)] * 2
    assert "None of ours was run" in (tmp_path / "out" / "tables.md").read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--levels", "3,x"), "--levels 3,x: must be"),
        (("--levels", "0"), "--levels 0: must be"),
        (("--methods", "bm5d"), "method bm5d: not known; choose among"),
        (("--model", "nothing"), "model nothing: neither"),
    ],
)
def test_wrong_usage_is_one_line(tmp_path: Path, phantom: np.ndarray, options: tuple[str, str], message: str) -> None:
    path = save(phantom, tmp_path / "head.nii.gz")
    result = cli("benchmark", "accuracy", path, "--output", tmp_path / "out", *options, code=2)
    assert message in result.stderr and result.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()
    missing = cli("benchmark", "accuracy", tmp_path / "no.nii", "--output", tmp_path / "out", code=2)
    assert "no.nii: no such file" in missing.stderr


def test_repeats_from_end_to_end(tmp_path: Path, phantom: np.ndarray, bundle: Path) -> None:
    rng = np.random.default_rng(0)
    series = np.stack([add_rician(phantom, 40.0, rng) for _ in range(3)], axis=-1)
    path, output = save(series, tmp_path / "series.nii.gz"), tmp_path / "out"
    options = ("--output", output, "--model", bundle, "--trust", "--device", "cpu")
    record = json.loads(cli("benchmark", "repeats", path, *options, "--json").stdout)
    assert [v["volume"] for v in record["volumes"]] == [0, 1, 2] and record["settings"]["sigma"] == "auto"
    assert record["noise_of_repeats"]["sigma"] == pytest.approx(40, rel=0.1)
    found = [v["sigma"] for v in json.loads(cli("noise", path, "--json").stdout)["volumes"]]
    assert [v["sigma"] for v in record["volumes"]] == pytest.approx(found)
    for volume in record["volumes"]:
        assert volume["level_ratio"][0] == pytest.approx(volume["sigma"] / 40, rel=0.1)
    rows = list(csv.DictReader((output / "repeats.csv").open()))
    assert float(rows[2]["psnr_noisy"]) == pytest.approx(record["volumes"][2]["psnr_noisy"])
    text = (output / "repeats.md").read_text()
    assert f"| 2 | {float(rows[2]['sigma']):.4g} | {float(rows[2]['level_ratio']):.2f} (" in text
    assert f"| {float(rows[2]['psnr_noisy']):.2f} dB |" in text
    with Image.open(output / "repeats.png") as image:
        assert image.width > image.height / 2 > 100
    two = json.loads(cli("benchmark", "repeats", path, *options, "--volumes", "1-2", "--json").stdout)
    assert [v["volume"] for v in two["volumes"]] == [1, 2]
    assert "--volumes 2: must be" in cli("benchmark", "repeats", path, *options, "--volumes", "2", code=2).stderr
    single = save(series[..., 0], tmp_path / "single.nii.gz")
    printed = cli("benchmark", "repeats", single, *options, "--sigma", 40).stdout
    assert "| 0 | " in printed and " | - | - | - | - | - | " in printed
