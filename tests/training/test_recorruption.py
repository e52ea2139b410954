"""Learning from noise alone: the independence behind it, SURE in closed form, and what guards it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from torch import nn

from mri_denoise.errors import InputError
from mri_denoise.noise.simulate import draw_noise
from mri_denoise.training.noisy_slabs import RandNoisySlabd, fit_size, held_out, held_out_tiles, noisy_volumes
from mri_denoise.training.recorruption import HeldOutCurve, PrepareRecorrupted, RecorruptedLoss

ALPHA = 0.5


class Shrink(nn.Module):
    """A linear denoiser of one slice, ``weight`` times the slice; the noise map is not used."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.weight * x[:, :1]


def white(count: int = 1) -> torch.Tensor:
    filters = torch.zeros(count, 3, 9)
    filters[..., 4] = 1
    return filters


def batch(image: torch.Tensor, sigma: float) -> dict[str, torch.Tensor]:
    maps = {"sigma": torch.full_like(image, sigma), "weight": torch.ones_like(image)}
    return {"image": image, **maps, "filters": white(len(image)), "seed": torch.tensor([3])}


def noisy(clean: torch.Tensor, sigma: float, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    real, imaginary = (sigma * torch.randn(clean.shape, generator=generator) for _ in range(2))
    return torch.hypot(clean + real, imaginary)


@pytest.mark.parametrize("weight", [0.0, 0.4, 0.8, 1.0])
def test_loss_is_sure_at_the_raised_level_and_the_true_error_in_expectation(weight: float) -> None:
    """For ``f(y) = w y``: SURE is ``|w y - y|^2 / n - s^2 + 2 s^2 w``; the error is ``(1 - w)^2 x^2 + w^2 s^2``."""
    sigma, signal = 0.02, 1.0  # a high SNR: Rice's bias is small beside the error
    y = noisy(torch.full((4, 1, 256, 256), signal), sigma)
    x, label = PrepareRecorrupted(Shrink(1.0), alpha=ALPHA)(batch(y, sigma))
    # the target's noise adds a constant: (1 + 1 / a^2) sigma^2
    found = float(RecorruptedLoss()(Shrink(weight)(x), label)) - (1 + 1 / ALPHA**2)
    raised = sigma * (1 + ALPHA**2) ** 0.5
    error = ((1 - weight) * signal) ** 2 + (weight * raised) ** 2
    sure = float(((weight - 1) * x[:, :1]).square().mean()) - raised**2 + 2 * raised**2 * weight
    assert found * sigma**2 == pytest.approx(error, rel=0.03, abs=1e-5)
    assert sure == pytest.approx(error, rel=0.03, abs=1e-5)


def test_input_is_rician_at_the_level_that_the_map_says() -> None:
    sigma, signal = 0.1, 0.2
    y = noisy(torch.full((4, 1, 256, 256), signal), sigma)
    x, _ = PrepareRecorrupted(Shrink(1.0), alpha=ALPHA)(batch(y, sigma))
    raised = float(x[:, 1].mean())
    assert raised == pytest.approx(sigma * 1.25**0.5)
    # moments of Rice's distribution (Gudbjartsson and Patz): E y^2 = x^2 + 2 s^2, var y^2 = 4 s^2 x^2 + 4 s^4
    power = x[:, 0].double().square()
    assert float(power.mean()) == pytest.approx(signal**2 + 2 * raised**2, rel=0.01)
    assert float(power.var()) == pytest.approx(4 * raised**2 * signal**2 + 4 * raised**4, rel=0.02)


@pytest.mark.parametrize("snr", [3.0, 6.0, 20.0])
def test_target_is_the_signal_with_noise_independent_of_the_input(snr: float) -> None:
    sigma = 0.05
    y = noisy(torch.full((4, 1, 256, 256), snr * sigma), sigma)
    x, label = PrepareRecorrupted(Shrink(1.0), alpha=ALPHA)(batch(y, sigma))
    target, given = label[:, 0].flatten().double(), x[:, 0].flatten().double()
    assert float(target.mean()) == pytest.approx(snr * sigma, abs=0.06 * sigma)
    assert abs(float(torch.corrcoef(torch.stack((target, given)))[0, 1])) < 0.02


def test_air_is_not_learned_from_but_kept_and_masked_air_gets_no_noise() -> None:
    image = torch.ones(1, 3, 32, 32)
    image[..., :16] = 0.01
    image[..., :8] = 0
    x, label = PrepareRecorrupted(Shrink(1.0))(batch(image, 0.1))
    target_weight, before, keep_weight = label[0, 1], label[0, 2], label[0, 3]
    assert (target_weight[:, :16] == 0).all() and (keep_weight[:, :16] > 0).all()
    assert (target_weight[:, 16:] > 0).all() and (keep_weight[:, 16:] == 0).all()
    assert torch.equal(before, image[0, 0])
    assert (x[0, :3, :, :8] == 0).all() and (x[0, :3, :, 8:] != image[0, :, :, 8:]).float().mean() > 0.99


def test_the_same_seed_gives_the_same_noise() -> None:
    image = torch.rand(1, 3, 16, 16)
    prepare = PrepareRecorrupted(Shrink(0.5))
    first, second = prepare(batch(image, 0.1)), prepare(batch(image, 0.1))
    assert torch.equal(first[0], second[0]) and torch.equal(first[1], second[1])
    free = batch(image, 0.1)
    free.pop("seed")
    assert not torch.equal(prepare(free)[0], prepare(free)[0])


def test_drawn_noise_has_variance_one_and_the_filters_correlation() -> None:
    filters = white(2)
    filters[1, 2] = torch.tensor([0, 0, 0, 0.5, 0.5**0.5, 0.5, 0, 0, 0])  # along columns
    noise = draw_noise((2, 3, 200, 200), filters, torch.Generator().manual_seed(0))
    assert noise.shape == (2, 3, 200, 200)
    np.testing.assert_allclose(noise.var(dim=(1, 2, 3)), 1, rtol=0.03)
    columns = [float((n[..., 1:] * n[..., :-1]).mean()) for n in noise]
    rows = [float((n[:, 1:] * n[:, :-1]).mean()) for n in noise]
    assert columns == pytest.approx([0, 2 * 0.5 * 0.5**0.5], abs=0.02) and rows == pytest.approx([0, 0], abs=0.02)


def item(shape: tuple[int, ...] = (1, 40, 36, 20), **changes: Any) -> dict[str, Any]:
    image = MetaTensor(torch.rand(shape), affine=torch.diag(torch.tensor([1.0, 1.0, 4.0, 1.0])))
    level = torch.full((shape[0],), 0.05)
    return {"image": image, "scaled_sigma": level, "slice_axis": 2, "contiguous": True, **changes}


def test_volumes_are_taken_apart_and_held_out_slices_marked() -> None:
    volumes = noisy_volumes([item((3, 40, 36, 20)), item()], max_volumes=10)
    assert len(volumes) == 4
    for volume in volumes:
        assert volume["axes"] == [2] and volume["image"].shape == volume["sigma"].shape == (1, 40, 36, 20)
        kept = volume["weight"].numpy().mean(axis=(0, 1, 2))
        assert set(np.flatnonzero(kept == 0)) == set(held_out(20)) and set(kept) == {0, 1}
    assert len(noisy_volumes([item((9, 12, 12, 5))], max_volumes=4)) == 4
    assert fit_size(volumes, 96) == 36 and fit_size(volumes, 16) == 16


class Files(Sequence[dict[str, Any]]):
    """Items that are read one by one; some hold nothing to learn from."""

    def __init__(self, count: int, empty: Collection[int] = ()) -> None:
        self.count, self.empty = count, empty
        self.read: list[int] = []

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: Any) -> Any:
        self.read.append(number)
        return item((1, 12, 12, 5), **({"scaled_sigma": torch.zeros(1)} if number in self.empty else {}))


def test_of_many_files_no_more_are_read_than_needed() -> None:
    files = Files(1000)
    assert len(noisy_volumes(files, max_volumes=4)) == 4 and files.read == [0, 333, 666, 999]
    files = Files(1000, empty=[0, 1, 333])
    assert len(noisy_volumes(files, max_volumes=4)) == 4 and files.read == [0, 333, 666, 999, 1, 2, 3]
    files = Files(3)
    assert len(noisy_volumes(files, max_volumes=4)) == 3 and files.read == [0, 1, 2]


@pytest.mark.parametrize("count", [2, 3, 4, 7, 30])
def test_some_slices_are_held_out_and_some_are_not(count: int) -> None:
    assert 0 < len(held_out(count)) < count and max(held_out(count)) < count


@pytest.mark.parametrize("change", [{"scaled_sigma": torch.zeros(1)}, {"image": torch.rand(1, 9, 9, 1)}])
def test_volumes_that_teach_nothing_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="nothing to learn from"):
        noisy_volumes([item(**change)], max_volumes=4)


def test_isotropic_volumes_are_cut_along_three_planes_with_the_filters_in_order() -> None:
    whole = item((1, 40, 36, 34))
    whole["image"].affine = torch.eye(4)
    [volume] = noisy_volumes([whole], max_volumes=1)
    assert sorted(volume["axes"]) == [0, 1, 2] and volume["axes"][0] == 2
    volume["filters"] = torch.arange(3.0)[:, None].expand(3, 9)
    cut = RandNoisySlabd(["image", "sigma", "weight"], size=16, num_slices=3)
    cut.set_random_state(0)
    orders = {tuple(cut(volume)["filters"][:, 0].tolist()) for _ in range(40)}
    assert orders == {(0, 1, 2), (1, 0, 2), (2, 0, 1)}


def test_slices_that_must_not_be_mixed_stand_in_for_their_neighbours() -> None:
    [volume] = noisy_volumes([item(contiguous=False)], max_volumes=1)
    slab = RandNoisySlabd(["image", "sigma", "weight"], size=16, num_slices=3)(volume)["image"]
    assert slab.shape == (3, 16, 16) and torch.equal(slab[0], slab[1]) and torch.equal(slab[1], slab[2])
    tile = held_out_tiles([volume], 3, 16, 1)[0]["image"]
    assert torch.equal(tile[0], tile[1])


def test_tiles_are_those_of_held_out_slices_the_brightest_first() -> None:
    [volume] = noisy_volumes([item()], max_volumes=1)
    tiles = held_out_tiles([volume], 3, 16, 100)
    assert len(tiles) == len(held_out(20)) * 2 * 2 and len({t["seed"] for t in tiles}) == len(tiles)
    sums = [float(t["image"][1].sum()) for t in tiles]
    assert sums == sorted(sums, reverse=True)
    whole = volume["image"].numpy()[0, 4:36, 2:34]
    spans = (slice(0, 16), slice(16, 32))
    wanted = [whole[i, j, k] for k in held_out(20) for i in spans for j in spans]
    assert {round(float(w.sum()), 2) for w in wanted} == {round(s, 2) for s in sums}
    assert len(held_out_tiles([volume], 3, 16, 5)) == 5


def curve(*rows: list[float]) -> HeldOutCurve:
    found = HeldOutCurve()
    for row in rows:
        found(SimpleNamespace(state=SimpleNamespace(metric_details={"val_loss": torch.tensor(row)[:, None]})))
    return found


def test_a_gain_counts_when_it_is_more_than_twice_its_error() -> None:
    better = curve([3.0, 5.0, 4.0], [2.8, 4.8, 3.8], [2.9, 4.9, 3.9])
    assert better.losses == pytest.approx([4.0, 3.8, 3.9])
    assert better.gain() == pytest.approx((0.2, 0.0), abs=1e-6) and better.improved()
    assert not curve([3.0, 5.0, 4.0], [3.5, 5.0, 3.4]).improved()
    assert not curve([3.0, 5.0, 4.0], [4.5, 3.4, 3.5]).improved()
    assert not curve([3.0, 5.0], [3.0, 5.0]).improved()
