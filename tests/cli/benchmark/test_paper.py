"""``mri-denoise benchmark paper`` from outside, on phantoms: its tables are checked against its own list of scores."""

from __future__ import annotations

import csv
import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from scipy import stats
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from mri_denoise.benchmarks.baselines import BASELINES
from mri_denoise.benchmarks.paper.images import dataset_slices, spread_slices
from mri_denoise.simulation import phantom_affine
from tests.commands import cli
from tests.phantoms import mirrored

SHAPE = (32, 36, 12)
SMALL = ["patch_size=32", "batch_size=2", "num_workers=0", "network_def#channels=[8,16]"]
ABLATION = ("unet", "residual", "attention", "attention_residual")


def paper(*arguments: object, code: int = 0) -> Any:
    return cli("benchmark", "paper", *arguments, code=code)


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Phantoms: one to train on, one to validate, two to test."""
    folder = tmp_path_factory.mktemp("dataset")
    lists: dict[str, list[dict[str, str]]] = {}
    for number, name in enumerate(("training", "validation", "test1", "test2")):
        image = nib.Nifti1Image(1000 * mirrored(SHAPE, number), phantom_affine(SHAPE))
        nib.save(image, folder / f"{name}.nii.gz")
        entry = {"image": f"{name}.nii.gz", "contrast": "T1w", "subject": name}
        lists.setdefault(name.rstrip("12"), []).append(entry)
    (folder / "datalist.json").write_text(json.dumps(lists))
    return folder


@pytest.fixture(scope="module")
def options(dataset: Path) -> list[object]:
    sizes = ["--slices", 6, "--compared", 4, "--densities", "10,30", "--steps", 2]
    return [dataset, *sizes, *(word for setting in SMALL for word in ("--set", setting))]


@pytest.fixture(scope="module")
def output(options: list[object], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("paper") / "out"
    paper(*options, "--output", folder, "--seeds", 0)
    return folder


def test_everything_is_there(output: Path) -> None:
    names = {"scores.csv", "table_2.csv", "table_3.csv", "table_4.csv", "figure_12.csv", "report.md", "record.json"}
    assert names <= {path.name for path in output.iterdir()}
    for number in (7, 8, 11, 12):
        with Image.open(output / "figures" / f"figure_{number}.png") as picture:
            assert picture.width > 500 and picture.height > 100
    record = json.loads((output / "record.json").read_text())
    assert record["images"] == {"compared": 4, "slices": 6}
    assert record["training"]["seeds"] == [0] and record["training"]["steps"] == 2
    assert {"python", "torch", "monai"} <= set(record["versions"]) and record["machine"]["processor"]
    assert set(record["absent"]) == (set() if find_spec("bm3d") else {"BM3D"})
    assert len(record["datalist_sha256"]) == 64 and len(record["methods"]["hmad"]) == 64
    report = (output / "report.md").read_text()
    for words in ("32.27 / 0.9598 / 38 ms", "23.71 ± 2.69", "30.45 / 0.8921", "U-Net + attention + residual"):
        assert words in report


def test_scores_are_what_a_second_source_makes_of_the_images(output: Path, dataset: Path) -> None:
    images = {image.name: image for image in spread_slices(dataset_slices(dataset)["test"], 4)}
    scores = [s for s in read(output / "scores.csv") if s["images"] == "compared"]
    checked = [s for s in scores if s["method"] in ("noisy", "adaptive_median")]
    assert len(checked) == 2 * 2 * 4 and {s["image"] for s in checked} == set(images)
    for score in checked:
        clean = images[score["image"]].clean()
        result = images[score["image"]].noisy(float(score["density"]), seed=0)
        if score["method"] == "adaptive_median":
            result = BASELINES["adaptive_median"](result)
        assert float(score["psnr"]) == pytest.approx(peak_signal_noise_ratio(clean, result, data_range=1), abs=1e-3)
        ssim, every = structural_similarity(
            clean, result, data_range=1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True
        )
        assert float(score["ssim"]) == pytest.approx(every.mean(), abs=1e-4)


def test_tables_follow_from_the_scores(output: Path) -> None:
    scores = read(output / "scores.csv")

    def values(images: str, method: str, measure: str, *densities: str) -> np.ndarray:
        mine = [s for s in scores if s["images"] == images and s["method"] == method]
        columns = [[float(s[measure]) for s in mine if s["density"] == d] for d in densities]
        return np.mean(columns, axis=0)

    rows = read(output / "table_2.csv")
    found = {row["method"] for row in rows}
    assert {"noisy", "adaptive_median", "hmad_alike", "hmad"} <= found
    assert found & {"dncnn", "dncnn_alike"}  # as shipped or, where none ships, trained here
    for row in rows:
        densities = ("0.1", "0.3") if row["density"] == "mean" else (str(int(row["density"]) / 100),)
        for measure in ("psnr", "ssim"):
            assert float(row[measure]) == pytest.approx(values("compared", row["method"], measure, *densities).mean())
    (row,) = (
        r for r in read(output / "table_3.csv")
        if (r["measure"], r["density"], r["unit"]) == ("ssim", "30", "slice")
    )  # fmt: skip
    pairs = [values("slices", method, "ssim", "0.3") for method in ("hmad", "noisy")]
    assert [float(row["n"]), float(row["t"])] == pytest.approx([6, stats.ttest_rel(*pairs).statistic])
    rows = [r for r in read(output / "table_4.csv") if r["density"] == "mean"]
    assert [row["variant"] for row in rows] == list(ABLATION)
    for row in rows:
        wanted = values("compared", f"{row['variant']}_seed0", "psnr", "0.1", "0.3").mean()
        assert float(row["psnr"]) == pytest.approx(wanted)


def test_a_second_run_goes_on_where_the_first_one_was(output: Path, options: list[object]) -> None:
    before = read(output / "scores.csv")
    trained = {path: path.stat().st_mtime_ns for path in output.glob("training/*/models/*.pt")}
    batches = sorted((output / "cache").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    lost = json.loads(batches[-1].read_text())["key"]
    batches[-1].write_text(batches[-1].read_text()[:50])  # as if cut off
    record = json.loads(paper(*options, "--output", output, "--seeds", "0,1", "--json").stdout)
    assert all(path.stat().st_mtime_ns == time for path, time in trained.items())
    assert len(list(output.glob("training/*_seed1/models/*.pt"))) == 4
    after = read(output / "scores.csv")
    again = {(lost["method"], str(lost["level"] / 100))}
    for row in before:
        if (row["method"], row["density"]) not in again:
            assert row in after  # to the microsecond: it was not worked out again
    assert {s["method"] for s in after} - {s["method"] for s in before} == {f"{name}_seed1" for name in ABLATION}
    (row,) = (r for r in record["tables"]["table_4"] if (r["variant"], r["density"]) == ("unet", "mean"))
    runs = [np.mean([float(s["psnr"]) for s in after if s["method"] == f"unet_seed{seed}"]) for seed in (0, 1)]
    assert [row["psnr"], row["psnr_sd"]] == pytest.approx([np.mean(runs), np.std(runs, ddof=1)])


def test_pictures_alone_are_scored(tmp_path: Path) -> None:
    for number in range(3):
        pixels = np.rint(255 * mirrored(SHAPE, number)[:, :, 6]).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    out = ("--output", tmp_path / "out")
    result = paper("--images", tmp_path, "--pictures", 2, "--densities", 20, "--skip", "bm3d", *out)
    assert "- BM3D: left out by --skip." in result.stdout
    rows = {row["method"]: row for row in read(tmp_path / "out" / "pictures.csv") if row["density"] == "mean"}
    assert float(rows["hmad"]["psnr"]) > float(rows["noisy"]["psnr"]) and rows["hmad"]["images"] == "2"
    assert not (tmp_path / "out" / "table_2.csv").exists() and "Table 4" not in result.stdout
    assert "wanted are 35 dB / 0.97: not met" in result.stdout
    assert len(read(tmp_path / "out" / "figure_12.csv")) == 2


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "give a prepared data set"),
        (["--densities", "10,x"], 2, "must be numbers with commas"),
        (["--densities", "0,10"], 2, "must lie between 0 and 100"),
        (["--seeds", "1.5"], 2, "must be numbers with commas"),
        (["--skip", "bm4d"], 2, "must be of bm3d"),
        (["--set", "patch_size"], 2, "must be KEY=VALUE"),
        (["--model", "none"], 2, "neither a shipped model"),
        (["{folder}"], 1, "datalist.json: cannot be read"),
        (["--images", "{folder}/none"], 2, "no such folder of pictures"),
    ],
)
def test_wrong_use_is_told_in_one_line(tmp_path: Path, arguments: list[str], code: int, words: str) -> None:
    given = [word.format(folder=tmp_path) for word in arguments]
    result = paper(*given, "--output", tmp_path / "out", code=code)
    assert words in result.stderr.strip().splitlines()[-1]
    assert not (tmp_path / "out" / "report.md").exists()
