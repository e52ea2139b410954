"""The crops that the refining network learns from, the samples cut from them, and its training config."""

from __future__ import annotations

from pathlib import Path

import monai.bundle
import numpy as np
import pytest

from mri_denoise._monai import import_monai
from mri_denoise.bundles.registry import find_bundle
from mri_denoise.bundles.weights import load_weights
from mri_denoise.networks import RefineNet
from mri_denoise.training.anatomy import add_spots
from mri_denoise.training.filtered import make_filtered
from mri_denoise.transforms import LoadFilteredd, RandFilteredPartd
from mri_denoise.transforms.filtered import GREYS
from tests.commands import cli


@pytest.fixture(scope="module")
def crop_files(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    output = tmp_path_factory.mktemp("crops")
    cli("data", "filtered", dataset, output, "--count", 4, "--seed", 2)
    return sorted(output.iterdir())


@pytest.fixture(scope="module")
def crops(crop_files: list[Path]) -> list[dict[str, np.ndarray]]:
    return [LoadFilteredd("image")({"image": str(path)})["image"] for path in crop_files]


def test_crops_are_the_same_for_a_seed_and_kept(dataset: Path, tmp_path: Path, crops: list) -> None:
    bundle = find_bundle("rician")
    [first] = make_filtered(dataset, tmp_path, bundle, 1, seed=2)
    written = first.stat().st_mtime_ns
    with np.load(first) as found:
        assert all(np.array_equal(found[name], crops[0][name]) for name in found.files)
    assert list(make_filtered(dataset, tmp_path, bundle, 1, seed=2)) == [first]
    assert first.stat().st_mtime_ns == written


def test_a_crop_holds_noise_of_its_level_which_the_filter_has_removed(crops: list) -> None:
    left = []
    for crop in crops:
        truth, noisy, filtered = (crop[name].astype(float) / GREYS for name in ("truth", "noisy", "filtered"))
        assert truth.shape == noisy.shape == filtered.shape == crop["pilot"].shape
        bright = truth > 0.2
        noise = ((noisy - truth) / crop["sigma"])[bright]
        assert 0.5 < noise.std() < 2  # the noise of simulated scanners is estimated
        left.append(((filtered - truth) / crop["sigma"])[bright].std() / noise.std())
    assert max(left) < 1 and min(left) < 0.6


def test_a_part_is_what_inference_gives_the_network(crops: list) -> None:
    crop = next(crop for crop in crops if crop["contiguous"])
    part = RandFilteredPartd("image", size=24, num_slices=3, alone=0.0).set_random_state(1)
    found = part({"image": crop})
    image, label = found["image"], found["label"]
    assert image.shape == (8, 24, 24) and label.shape == (2, 24, 24) and image.dtype == np.float32
    assert np.array_equal(label[1], image[-1])
    truth, count = crop["truth"], len(crop["truth"])
    [(number, row, column)] = [
        (z, y, x)
        for z in range(count)
        for y in range(truth.shape[1] - 23)
        for x in range(truth.shape[2] - 23)
        if truth[z, y, x] == np.round(label[0, 0, 0] * GREYS)
        and np.array_equal(truth[z, y : y + 24, x : x + 24], np.round(label[0] * GREYS))
    ]
    around = np.clip([number - 1, number, number + 1], 0, count - 1)
    for channels, name in ((image[:3], "filtered"), (image[3:6], "noisy")):
        wanted = crop[name][around, row : row + 24, column : column + 24]
        assert np.array_equal(np.round(channels * GREYS), wanted)
    alone = RandFilteredPartd("image", size=24, num_slices=3, alone=1.0).set_random_state(1)({"image": crop})["image"]
    assert np.array_equal(alone[0], alone[1]) and np.array_equal(alone[3], alone[5])


def test_a_small_crop_is_extended_by_its_edges(crops: list) -> None:
    image = RandFilteredPartd("image", size=160, num_slices=1).set_random_state(0)({"image": crops[0]})["image"]
    assert image.shape == (4, 160, 160)
    assert np.array_equal(image[:, -1], image[:, crops[0]["truth"].shape[1] - 1])


def test_the_training_config_leaves_weights_that_load(
    crop_files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_monai(everything=True)
    monkeypatch.chdir(find_bundle("rician").folder)
    quick = {"max_epochs": 1, "epoch_length": 2, "batch_size": 2, "patch_size": 32, "num_workers": 0, "val_every": 2}
    output = str(tmp_path)
    monai.bundle.run(config_file="configs/refine.yaml", crops_dir=str(crop_files[0].parent), output_dir=output, **quick)
    assert [p.name for p in (tmp_path / "models").glob("state_*")] == ["state_checkpoint_epoch=1.pt"]
    load_weights(RefineNet(), tmp_path / "models" / "refine.pt")


def test_small_structures_are_local_and_of_the_level_that_was_asked_for() -> None:
    truth = np.full((40, 40, 20), 0.5, np.float32)
    changed = add_spots(truth, (1.0, 1.0, 2.0), 0.02, np.random.default_rng(0)) - truth
    assert 0.01 < np.abs(changed).max() <= 3 * 6 * 0.02
    assert 0 < np.mean(changed != 0) < 0.2


def test_the_command_says_what_is_missing(tmp_path: Path) -> None:
    assert "datalist.json" in cli("data", "filtered", tmp_path, tmp_path / "crops", code=1).output
