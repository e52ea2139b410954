"""The benchmark of accuracy: its noise, its scores, its cache and its tables."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from skimage.metrics import structural_similarity

from mri_denoise.benchmarks.accuracy.report import mean_bias
from mri_denoise.benchmarks.accuracy.run import Task, VolumeScore, run_accuracy, score_method
from mri_denoise.benchmarks.accuracy.tables import Table, markdown, write_csv
from mri_denoise.benchmarks.baselines import BASELINES, NOISY, Classical
from mri_denoise.benchmarks.baselines.base import Function
from mri_denoise.benchmarks.references import Reference, find_references
from mri_denoise.errors import InputError
from mri_denoise.simulation import phantom_affine
from tests.phantoms import head

SHAPE = (36, 40, 16)


def method(name: str) -> Classical:
    return NOISY if name == "noisy" else BASELINES[name]


def own(name: str, function: Function) -> Classical:
    return Classical(name=name, label=name.capitalize(), citation="", function=function)


def write(path: Path, array: np.ndarray, affine: np.ndarray | None = None) -> Path:
    nib.save(nib.Nifti1Image(array, phantom_affine(array.shape) if affine is None else affine), path)
    return path


@pytest.fixture(scope="module")
def phantom() -> np.ndarray:
    return (800 * head(SHAPE, contrast="T2w")).astype(np.int16)


@pytest.fixture
def volume(tmp_path: Path, phantom: np.ndarray) -> Path:
    return write(tmp_path / "sub-1_T2w.nii.gz", phantom)


@pytest.fixture
def reference(volume: Path) -> Reference:
    return find_references([volume])[0]


def score(reference: str, level: float, method: str, psnr: float, contrast: str = "T1w", **other: float) -> VolumeScore:
    values = {"ssim": psnr / 50, "hfen": 0.5, "seconds": 2.0} | other
    bias = ((None, 0), (1.0, 10), *(((0.0, 5),) * 14))
    return VolumeScore(
        image=reference, contrast=contrast, level=level, method=method, label=method, psnr=psnr, voxels=1000,
        bias=bias, **values,
    )  # fmt: skip


def test_noise_and_scores_are_those_of_the_protocol(reference: Reference, volume: Path) -> None:
    truth = reference.load()
    clean = nib.load(volume).get_fdata(dtype=np.float32)
    peak = clean.max()
    rng = np.random.default_rng(7)
    sigma = 9 / 100 * peak
    real = clean + sigma * rng.standard_normal(SHAPE, dtype=np.float32)
    noisy = np.sqrt(real**2 + (sigma * rng.standard_normal(SHAPE, dtype=np.float32)) ** 2)
    task = Task(reference=reference, truth=truth, level=9.0, seed=7)
    np.testing.assert_allclose(task.noisy, noisy, rtol=1e-5, atol=1e-3)
    assert task.sigma == pytest.approx(sigma)
    found = score_method(task, method("noisy"))
    mask = clean > 10 * peak / 255
    error = (noisy - clean)[mask]
    similarity = structural_similarity(
        clean, noisy, data_range=peak, full=True, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )[1]
    assert found["psnr"] == pytest.approx(20 * np.log10(peak / np.sqrt(np.mean(error**2))), abs=1e-3)
    assert found["ssim"] == pytest.approx(similarity[mask].mean(), abs=1e-4)
    assert found["voxels"] == clean.size and found["seconds"] >= 0
    dark = mask & (clean < peak / 16)
    assert found["bias"][0] == [pytest.approx(100 * (noisy - clean)[dark].mean() / peak, rel=1e-3), dark.sum()]
    assert found["bias"][0][0] > found["bias"][8][0]  # Rician noise lifts what is dark


def test_middle_slices_get_the_same_noise(reference: Reference) -> None:
    whole, slab = (Task(reference=reference, truth=reference.load(n), level=5.0, seed=0) for n in (None, 6))
    axis = whole.truth.slice_axis
    start = (SHAPE[axis] - 6) // 2
    np.testing.assert_array_equal(slab.noisy, whole.noisy.take(range(start, start + 6), axis))
    assert slab.truth.mask.shape == slab.noisy.shape and slab.truth.peak == whole.truth.peak
    assert slab.key(method("noisy")) != whole.key(method("noisy"))


def test_a_run_goes_on_where_it_stopped(tmp_path: Path, reference: Reference) -> None:
    calls: list[float] = []

    def count(image: np.ndarray, sigma: float) -> np.ndarray:
        calls.append(round(sigma, 3))
        return image

    counted = own("count", count)
    folder, levels = tmp_path / "cache", (3.0, 9.0)
    first, failures = run_accuracy([reference], [method("noisy"), counted], folder, levels)
    assert not failures and len(first) == 4 and len(calls) == 2
    again, _ = run_accuracy([reference], [method("noisy"), counted], folder, levels)
    assert again == first and len(calls) == 2

    cache = {p: json.loads(p.read_text()) for p in folder.iterdir()}
    lost = next(p for p, c in cache.items() if c["key"]["method"] == "count" and c["key"]["level"] == 9.0)
    lost.write_text("{cut off")
    times = {p: p.stat().st_mtime_ns for p in folder.iterdir()}
    run_accuracy([reference], [method("noisy"), counted], folder, levels)
    assert [p for p in folder.iterdir() if times.get(p) != p.stat().st_mtime_ns] == [lost]
    assert len(calls) == 3 and calls[2] == calls[1] and json.loads(lost.read_text())["key"] == cache[lost]["key"]

    newer = replace(counted, distribution="numpy")
    run_accuracy([reference], [newer], folder, levels)
    run_accuracy([reference], [newer], folder, levels, seed=1)
    assert len(calls) == 7


def test_what_fails_is_told_and_the_rest_goes_on(tmp_path: Path, reference: Reference) -> None:
    def fail(image: np.ndarray, sigma: float) -> np.ndarray:
        raise RuntimeError("no memory\nmore words")

    methods = [own("bad", fail), method("gaussian")]
    empty = find_references([write(tmp_path / "empty.nii", np.zeros((9, 9, 9), np.float32))])[0]
    scores, failures = run_accuracy([empty, reference], methods, tmp_path / "cache", (3.0, 9.0))
    assert [(s.method, s.level) for s in scores] == [("gaussian", 3.0), ("gaussian", 9.0)]
    assert [(f.reference, f.level, f.method) for f in failures] == [
        ("empty", None, ""), ("sub-1_T2w", 3.0, "bad"), ("sub-1_T2w", 9.0, "bad")
    ]  # fmt: skip
    assert failures[1].reason == "RuntimeError: no memory" and "above 0" in failures[0].reason
    text = markdown(Table(scores=scores, methods=methods), {"BM4D": "pip install it"}, failures)
    assert "- sub-1_T2w, 3 %, bad: RuntimeError: no memory" in text and "- BM4D: pip install it" in text
    assert "| Bad | - | - |" in text


def test_references_from_files_and_datalists(tmp_path: Path, volume: Path, phantom: np.ndarray) -> None:
    (tmp_path / "more").mkdir()
    other = write(tmp_path / "more" / "x.nii", phantom.astype(np.float32))
    entries = {"test": [{"image": "more/x.nii", "contrast": "PDw"}], "validation": []}
    (tmp_path / "datalist.json").write_text(json.dumps(entries))
    found = find_references([volume, tmp_path / "datalist.json"])
    assert [(r.label, r.contrast) for r in found] == [("sub-1_T2w", "T2w"), ("x", "PDw")]
    assert found[1].case.sources == (other,)
    for bad, message in (
        ([volume, volume, volume], "named twice"),
        ([tmp_path / "none.nii"], "no such file"),
        ([tmp_path], "it holds 2"),
    ):
        with pytest.raises(InputError, match=message):
            find_references(bad)
    for split, message in (("training", "not a datalist with the split training"), ("validation", "no reference")):
        with pytest.raises(InputError, match=message):
            find_references([tmp_path / "datalist.json"], split)
    series = write(tmp_path / "series.nii", np.ones((9, 9, 9, 2), np.float32), np.eye(4))
    with pytest.raises(InputError, match="single volumes"):
        find_references([series])[0].load()


def table_of_three() -> Table:
    """Two references, where the rival is ahead on one at 3 %."""
    scores = []
    for name, contrast, gain in (("a", "T1w", 1.0), ("b", "T2w", -0.4)):
        for level in (3.0, 9.0):
            base = 40 - level
            extra = gain if level == 3.0 else 2.0
            scores += [
                score(name, level, "noisy", base - 8, contrast),
                score(name, level, "bm4d", base, contrast, seconds=100.0),
                score(name, level, "rician-balanced", base + extra, contrast),
            ]
    methods = (
        method("noisy"),
        method("bm4d"),
        replace(method("noisy"), name="rician-balanced", label="Ours", ours=True),
    )
    return Table(scores=scores, methods=methods)


def test_tables_say_where_ours_loses() -> None:
    text = markdown(table_of_three(), {}, [])
    assert "## Mean, T1w (1 reference)" in text and "## Mean, all references (2 references)" in text
    t1, t2, both = (text.split(f"## Mean, {name}")[1].split("##")[0] for name in ("T1w", "T2w", "all"))
    assert "| Ours | **38.00** / **0.760** | **33.00** / **0.660** |" in t1
    assert "| Ours | 36.60 / 0.732 (loses 0.40) | **33.00** / **0.660** |" in t2
    assert "| BM4D | 37.00 / 0.740 | 31.00 / 0.620 |" in both and "| Ours | **37.30** / **0.746**" in both
    losses = text.split("## Where ours loses")[1].split("##")[0]
    assert "| b | 3 % | PSNR | 36.60 dB | bm4d: 37.00 dB |" in losses and "| a |" not in losses
    assert "| BM4D | 100.00 | 100000.000 |" in text
    assert "against BM4D | 9 % | +2.00 dB | +2.00 to +2.00 | inf | 0 |" in text


def test_csv_is_tidy(tmp_path: Path) -> None:
    paths = write_csv(table_of_three(), tmp_path)
    results, bias = (list(csv.DictReader(path.open())) for path in paths)
    assert len(results) == 12
    assert results[1] == {
        "reference": "a", "contrast": "T1w", "level": "3.0", "method": "bm4d", "label": "bm4d", "psnr": "37.0",
        "ssim": "0.74", "hfen": "0.5", "seconds": "100.0", "voxels": "1000",
    }  # fmt: skip
    assert len(bias) == 12 * 15 and bias[0]["from_percent"] == "6.25" and bias[0]["mean_error_percent"] == "1.0"


def test_bias_is_averaged_over_voxels() -> None:
    one = replace(score("a", 3.0, "m", 30.0), bias=((2.0, 10), (None, 0), *(((0.0, 1),) * 14)))
    other = replace(score("b", 3.0, "m", 30.0), bias=((5.0, 20), (None, 0), *(((0.0, 1),) * 14)))
    found = mean_bias([one, other])
    assert found[0] == 4.0 and np.isnan(found[1]) and found[2] == 0
