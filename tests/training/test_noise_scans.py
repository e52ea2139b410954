"""The scans that the noise-level network learns from, the samples cut from them, and its loss."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mri_denoise.errors import InputError
from mri_denoise.training.losses import LaplaceLoss
from mri_denoise.training.noise_scans import make_scans
from mri_denoise.transforms import LoadNoiseScand, RandNoiseScanCropd
from tests.commands import cli


@pytest.fixture(scope="module")
def scans(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return list(make_scans(dataset, tmp_path_factory.mktemp("scans"), 3, seed=3))


def test_scans_are_the_same_for_a_seed_and_kept(dataset: Path, scans: list[Path]) -> None:
    before = scans[0].stat().st_mtime_ns
    again = list(make_scans(dataset, scans[0].parent, 1, seed=3))
    assert again == scans[:1]
    assert scans[0].stat().st_mtime_ns == before
    found = next(make_scans(dataset, scans[0].parent / "again", 1, seed=3))
    with np.load(found) as first, np.load(scans[0]) as second:
        assert all((first[name] == second[name]).all() for name in ("image", "level", "tissue"))


def test_a_scan_holds_a_level_for_each_cell(scans: list[Path]) -> None:
    for path in scans:
        with np.load(path) as found:
            image, level, tissue = found["image"], found["level"], found["tissue"]
        assert image.dtype == np.uint16
        assert level.shape == tissue.shape == (image.shape[0] // 8, image.shape[1] // 8, image.shape[2])
        assert (tissue >= 0).all() and (tissue <= 1).all() and tissue.any()
        assert (level[tissue > 0] < np.log(image.max())).all()  # sigma is below the maximum


def test_a_sample_is_a_part_with_its_label(scans: list[Path]) -> None:
    loaded = LoadNoiseScand("image")({"image": str(scans[0])})["image"]
    crop = RandNoiseScanCropd("image", size=32, alone=0.0, scale=0.0, offset=0.0, small=0.0).set_random_state(0)
    found = crop({"image": loaded})
    assert found["image"].shape == (3, 32, 32) and found["label"].shape == (2, 4, 4)
    places = [
        (x, y, z)
        for x in range(loaded["label"].shape[1] - 3)
        for y in range(loaded["label"].shape[2] - 3)
        for z in range(loaded["label"].shape[3])
        if (loaded["label"][:, x : x + 4, y : y + 4, z] == found["label"]).all()
    ]
    assert any(
        (loaded["image"][8 * x : 8 * x + 32, 8 * y : 8 * y + 32, z] == found["image"][1]).all() for x, y, z in places
    )


def test_a_smaller_part_lies_in_a_corner_of_zeros(scans: list[Path]) -> None:
    loaded = LoadNoiseScand("image")({"image": str(scans[0])})["image"]
    crop = RandNoiseScanCropd("image", size=128, alone=0.0, scale=0.0, offset=0.0, small=1.0).set_random_state(0)
    for _ in range(5):
        found = crop({"image": loaded})
        assert found["image"].shape == (3, 128, 128) and found["label"].shape == (2, 16, 16)
        assert found["image"][:, :16, :16].any()
        assert not found["image"][:, 64:].any() and not found["image"][:, :, 64:].any()
        assert not found["label"][:, 8:].any() and not found["label"][:, :, 8:].any()


def test_the_coarse_level_may_change_without_changing_the_noise(scans: list[Path]) -> None:
    loaded = LoadNoiseScand("image")({"image": str(scans[0])})["image"]
    plain, scaled = (
        RandNoiseScanCropd("image", size=32, alone=0.0, scale=scale, offset=0.0, small=0.0).set_random_state(4)(
            {"image": loaded}
        )
        for scale in (0.0, 0.5)
    )
    inside = plain["label"][1] > 0
    factor = np.exp((plain["label"][0] - scaled["label"][0])[inside])
    assert np.ptp(factor) < 1e-5 and abs(factor[0] - 1) > 0.01
    assert scaled["image"] * factor[0] == pytest.approx(plain["image"], rel=1e-4)


def test_the_loss_is_least_at_the_truth_and_at_the_mean_error() -> None:
    truth = torch.randn(4000, generator=torch.Generator().manual_seed(0)).reshape(1, 40, 100)
    target = torch.stack((truth, torch.ones_like(truth)), dim=1)
    value = torch.zeros_like(truth)
    mean = float(truth.abs().mean())

    def loss(value: torch.Tensor, error: torch.Tensor) -> float:
        return float(LaplaceLoss()(torch.stack((value, error), dim=1), target))

    losses = [loss(value, torch.full_like(truth, np.log(factor * mean))) for factor in (0.8, 1.0, 1.2)]
    assert losses[1] < min(losses[0], losses[2])
    assert loss(truth, value) == pytest.approx(0)
    target[:, 1] = 0.1  # hardly any tissue
    assert loss(value, value) == 0


def test_the_command_says_what_is_missing(tmp_path: Path) -> None:
    found = cli("data", "scans", tmp_path, tmp_path / "scans", code=1)
    assert "datalist.json" in found.output
    with pytest.raises(InputError, match="datalist"):
        next(make_scans(tmp_path, tmp_path / "scans", 1))
