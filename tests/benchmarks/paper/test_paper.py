"""The parts of the paper's experiment: which slices, which noise, which numbers in which table, training alike."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats

from mri_denoise.benchmarks.baselines import Classical
from mri_denoise.benchmarks.paper import ablation as paper_ablation
from mri_denoise.benchmarks.paper.ablation import ABLATION, FULL, Training, Variant, dncnn, train_variant
from mri_denoise.benchmarks.paper.images import (
    GreyImage,
    choose_for_figure,
    dataset_slices,
    pictures,
    share_out,
    spread_slices,
)
from mri_denoise.benchmarks.paper.scores import ImageScore
from mri_denoise.benchmarks.paper.tables import losses, table_2, table_3, table_4
from mri_denoise.benchmarks.progress import Step
from mri_denoise.bundles.registry import find_bundle
from mri_denoise.errors import InputError

DENSITIES = (10.0, 30.0)
SMALL = {"patch_size": 32, "batch_size": 2, "num_workers": 0, "network_def#channels": [8, 16]}


def write_dataset(folder: Path, counts: dict[str, list[int]]) -> Path:
    """Volumes of 30 x 34 pixels; in each, so many slices in the middle show something, four at the ends nothing."""
    rng = np.random.default_rng(0)
    lists: dict[str, list[dict[str, str]]] = {}
    for split, sizes in counts.items():
        for number, size in enumerate(sizes):
            array = np.zeros((30, 34, size + 4), np.float32)
            array[8:22, 8:26, 2:-2] = rng.uniform(200, 1000, (14, 18, size))
            name = f"{split}{number}.nii.gz"
            nib.save(nib.Nifti1Image(array, np.diag([-1.0, -1.0, 3.0, 1.0])), folder / name)
            entry = {"image": name, "contrast": "T1w", "subject": f"{split} {number}"}
            lists.setdefault(split, []).append(entry)
    (folder / "datalist.json").write_text(json.dumps(lists))
    return folder


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data"), {"training": [6], "validation": [20], "test": [3, 20]})


@pytest.mark.parametrize(
    ("available", "count", "wanted"),
    [([3, 20, 20], 13, [3, 5, 5]), ([5, 5], 5, [3, 2]), ([2, 3], 99, [2, 3]), ([0, 4], 2, [0, 2]), ([], 3, [])],
)
def test_shares_are_as_equal_as_they_can_be(available: list[int], count: int, wanted: list[int]) -> None:
    assert share_out(available, count) == wanted


def test_slices_are_spread_over_volumes_and_over_each_volume(dataset: Path) -> None:
    found = dataset_slices(dataset)
    assert {split: [len(images) for images in found[split]] for split in found} == {"test": [3, 20], "validation": [20]}
    volumes = found["test"] + found["validation"]
    images = spread_slices(volumes, 13)
    assert [image.split for image in images] == ["test"] * 8 + ["validation"] * 5
    assert [image.subject for image in images[2:4]] == ["test 0", "test 1"]
    places = [int(image.name.split("/")[1]) for image in images if image.subject == "test 1"]
    assert set(np.diff(places)) == {4} and places[0] >= 2 and places[-1] < 22  # 20 slices, 5 of them, none empty
    assert [image.name for image in spread_slices(volumes, 13)] == [image.name for image in images]
    assert any(spread_slices(volumes, 13, seed)[4].name != images[4].name for seed in range(1, 9))
    assert spread_slices(volumes, 99) == [image for images in volumes for image in images]


def test_slices_are_the_volume_on_a_scale_of_8_bits(dataset: Path) -> None:
    image = dataset_slices(dataset)["validation"][0][11]
    volume = np.asarray(nib.load(dataset / "validation0.nii.gz").dataobj)
    white = np.percentile(volume, 99.9)
    original = volume[:, :, int(image.name.split("/")[1])]
    wanted = np.round(np.clip(original / white, 0, 1) * 255)
    # both axes of this volume run to the left and backwards, which is to the right and down in the picture
    assert np.abs(image.pixels.astype(float) - wanted.T).max() <= 1
    assert image.size == (1.0, 1.0)
    np.testing.assert_allclose(image.clean(), image.pixels / 255, atol=1e-7)


def test_unusable_datasets_are_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"datalist.json: cannot be read"):
        dataset_slices(tmp_path)
    (tmp_path / "datalist.json").write_text('{"test": [{"image": "lost.nii.gz"}]}')
    with pytest.raises(InputError, match=r"lost.nii.gz: named by the datalist"):
        dataset_slices(tmp_path)
    (tmp_path / "datalist.json").write_text('{"test": 3}')
    with pytest.raises(InputError, match=r"is no datalist"):
        dataset_slices(tmp_path)
    (tmp_path / "datalist.json").write_text("{}")
    with pytest.raises(InputError, match=r"no slice to be used"):
        dataset_slices(tmp_path)


def test_pictures_become_grey_and_are_chosen_by_seed(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(5):
        pixels = rng.integers(0, 256, (12, 15, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    (tmp_path / "notes.txt").write_text("no picture")
    every = pictures(tmp_path)
    assert len(every) == 5 and every[0].pixels.shape == (12, 15)
    grey = np.asarray(Image.open(tmp_path / "0.png").convert("L"))
    np.testing.assert_array_equal(every[0].pixels, grey)
    some = [image.name for image in pictures(tmp_path, 2, seed=1)]
    assert len(some) == 2 and some == [image.name for image in pictures(tmp_path, 2, seed=1)]
    (tmp_path / "volumes").mkdir()
    nib.save(nib.Nifti1Image(np.ones((8, 8, 8), np.float32), np.eye(4)), tmp_path / "volumes" / "a.nii")
    with pytest.raises(InputError, match="holds no picture"):
        pictures(tmp_path / "volumes")


def test_noise_has_its_density_and_is_an_images_own() -> None:
    pixels = np.full((200, 200), 128, np.uint8)
    image = GreyImage(name="a", pixels=pixels)
    noisy = image.noisy(0.2, seed=0)
    replaced = noisy != image.clean()
    assert replaced.mean() == pytest.approx(0.2, abs=0.01)
    assert set(np.unique(noisy[replaced])) == {0.0, 1.0}
    np.testing.assert_array_equal(noisy, image.noisy(0.2, seed=0))
    others = (
        image.noisy(0.2, seed=1),
        GreyImage(name="b", pixels=pixels).noisy(0.2, seed=0),
        image.noisy(0.21, seed=0),
    )
    assert not any(np.array_equal(noisy, other) for other in others)


def test_figures_show_the_fullest_image_of_each_subject_and_every_contrast() -> None:
    def image(name: str, shown: int, subject: str, contrast: str) -> GreyImage:
        pixels = np.zeros((4, 4), np.uint8)
        pixels[:shown] = 200
        return GreyImage(name=name, pixels=pixels, subject=subject, contrast=contrast)

    images = [
        image("a", 1, "s", "T1w"), image("b", 3, "s", "T1w"), image("c", 2, "s", "T1w"),
        image("d", 1, "t", "T1w"), image("e", 1, "t", "T2w"),
    ]  # fmt: skip
    assert [i.name for i in choose_for_figure(images, 2)] == ["b", "e"]
    assert [i.name for i in choose_for_figure(images, 9)] == ["b", "e", "d"]


def make_scores(methods: dict[str, float]) -> list[ImageScore]:
    """Random scores of eight images of four subjects, each method better than "noisy" by about so much."""
    rng = np.random.default_rng(1)
    return [
        ImageScore(
            images="slices", method=method, level=density, image=f"image{i}", split="test", subject=f"subject{i // 2}",
            contrast="T1w", psnr=15 + gain + rng.normal(), ssim=0.3 + gain / 40 + rng.normal(0, 0.01),
            seconds=(5.0 + i) / 1000,
        )
        for method, gain in methods.items() for density in DENSITIES for i in range(8)
    ]  # fmt: skip


def values(scores: list[ImageScore], method: str, measure: str, *densities: float) -> np.ndarray:
    """One value an image: its mean over the densities."""
    found = [[getattr(s, measure) for s in scores if s.method == method and s.level == d] for d in densities]
    return np.mean(found, axis=0)


def method(name: str) -> Classical:
    return Classical(name=name, label=name.upper(), citation="", function=lambda image, sigma: image)


def test_table_2_holds_means_and_the_papers_figures() -> None:
    scores = make_scores({"noisy": 0, "bm3d": 10, "hmad": 15})
    rows = table_2(scores, [method(name) for name in ("noisy", "bm3d", "hmad")])
    assert [(r.method, r.density) for r in rows[3:6]] == [("bm3d", "10"), ("bm3d", "30"), ("bm3d", "mean")]
    one = rows[4]
    assert one.psnr == pytest.approx(values(scores, "bm3d", "psnr", 30.0).mean())
    assert one.psnr_sd == pytest.approx(values(scores, "bm3d", "psnr", 30.0).std(ddof=1))
    assert one.images == 8 and one.milliseconds == pytest.approx(8.5) and one.paper_psnr is None
    assert rows[5].ssim == pytest.approx(values(scores, "bm3d", "ssim", *DENSITIES).mean())
    assert [rows[5].paper_psnr, rows[5].paper_ssim, rows[5].paper_milliseconds] == [31.9, 0.9862, 210.0]
    assert rows[2].paper_psnr is None
    assert losses(rows, "hmad") == []
    behind = losses(rows, "bm3d")
    assert len(behind) == 6 and behind[0] == f"HMAD, 10 %, PSNR: {rows[6].psnr:.2f} against {rows[3].psnr:.2f}"


def test_table_3_agrees_with_scipy() -> None:
    scores = make_scores({"noisy": 0, "hmad": 15})
    rows = table_3(scores, "hmad")
    assert len(rows) == 2 * 3 * 2
    for row in rows:
        densities = DENSITIES if row.density == "mean" else (float(row.density),)
        before, after = (values(scores, m, row.measure, *densities) for m in ("noisy", "hmad"))
        if row.unit == "subject":
            before, after = (v.reshape(4, 2).mean(axis=1) for v in (before, after))
        wanted = stats.ttest_rel(after, before)
        interval = wanted.confidence_interval()
        assert row.n == len(before)
        assert [row.found.noisy_mean, row.found.denoised_sd] == pytest.approx([before.mean(), after.std(ddof=1)])
        assert [row.found.gain, row.found.t] == pytest.approx([(after - before).mean(), wanted.statistic])
        assert [row.p, row.found.ci_low, row.found.ci_high] == pytest.approx(
            [wanted.pvalue, interval.low, interval.high]
        )
        assert (row.wilcoxon, row.wilcoxon_p) == pytest.approx(tuple(stats.wilcoxon(after - before)))
        assert row.effect_size == pytest.approx((after - before).mean() / (after - before).std(ddof=1))
        quoted = row.density == "mean" and row.unit == "slice"
        assert (row.paper is None) != quoted
    columns = [row.columns() for row in rows]
    assert next(row for row in columns if row["paper_t"])["paper_gain"] == 5.44
    assert all(list(row) == list(columns[0]) for row in columns)
    assert list(columns[0])[8:16] == ["gain", "t", "p", "ci_low", "ci_high", "wilcoxon", "wilcoxon_p", "effect_size"]


def test_table_4_averages_over_seeds() -> None:
    variants = [Variant(name="unet", label="U-Net"), FULL]
    names = {f"{v.name}_seed{s}": gain + s for v, gain in zip(variants, (10, 15), strict=True) for s in (3, 5)}
    scores = make_scores(names)
    rows = table_4(scores, variants, [3, 5])
    runs = [values(scores, f"unet_seed{seed}", "psnr", *DENSITIES).mean() for seed in (3, 5)]
    assert rows[2].density == "mean" and rows[2].seeds == 2
    assert [rows[2].psnr, rows[2].psnr_sd] == pytest.approx([np.mean(runs), np.std(runs, ddof=1)])
    assert [rows[2].paper_psnr, rows[5].paper_ssim] == [30.45, 0.9598]
    assert table_4(scores, variants, [3])[2].psnr_sd is None


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "models" / "model.pt", weights_only=True)


def runs_of(dataset: Path, folder: Path, steps: int) -> Training:
    bundle = find_bundle("salt-pepper")
    return Training(bundle=bundle, dataset=dataset, folder=folder, steps=steps, overrides=SMALL)


def test_networks_are_trained_alike_and_the_same_each_time(dataset: Path, tmp_path: Path) -> None:
    bundle = find_bundle("salt-pepper")
    runs = {}
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        training = runs_of(dataset, tmp_path / name, 2)
        runs[name] = weights_of(train_variant(training, FULL, seed).folder)
    assert all(torch.equal(runs["a"][key], runs["b"][key]) for key in runs["a"])
    assert not all(torch.equal(runs["a"][key], runs["c"][key]) for key in runs["a"])
    training = runs_of(dataset, tmp_path / "a", 2)
    sizes = {v.name: len(weights_of(train_variant(training, v, 0).folder)) for v in (*ABLATION, dncnn(bundle))}
    assert sizes["unet"] < min(sizes["residual"], sizes["attention"])
    assert max(sizes["residual"], sizes["attention"]) < sizes["attention_residual"]
    assert "layers.0.weight" in weights_of(tmp_path / "a" / "dncnn_seed0")


class Watched:
    """Progress that notes the steps, and stops the run like a power cut when it has noted these ones."""

    def __init__(self, until: list[int]) -> None:
        self.until, self.steps, self.totals = until, list[int](), list[int | None]()

    def say(self, what: str) -> None:
        raise AssertionError(what)

    @contextmanager
    def stage(self, title: str, total: int | None = None) -> Iterator[Step]:
        done = 0
        self.totals.append(total)

        def step(advance: int = 1, doing: str = "") -> None:
            nonlocal done
            done += advance
            self.steps.append(done)
            if self.steps == self.until:
                raise KeyboardInterrupt

        yield step


def test_a_training_that_was_stopped_goes_on(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two epochs of two steps; the power goes in the second."""
    monkeypatch.setattr(paper_ablation, "STEPS_AN_EPOCH", 2)
    training, watched = runs_of(dataset, tmp_path, 4), Watched(until=[1, 2, 3])
    with pytest.raises(KeyboardInterrupt):
        train_variant(training, FULL, 0, watched)
    bundle = train_variant(training, FULL, 0, watched)
    assert watched.steps == [1, 2, 3, 3, 4] and watched.totals == [4, 4]
    before = weights_of(bundle.folder)
    train_variant(training, FULL, 0, watched)
    assert len(watched.steps) == 5  # it is there
    train_variant(runs_of(dataset, tmp_path, 2), FULL, 0, watched)
    assert watched.steps[5:] == [1, 2]  # other settings: from the beginning
    assert not all(torch.equal(before[key], tensor) for key, tensor in weights_of(bundle.folder).items())
