"""The filter's result goes through a second network: which slices it sees, and where the result goes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from mri_denoise.inference import refining
from mri_denoise.inference.collaborative_filter import filter_blocks
from mri_denoise.inference.refining import CLEAR, FADED, RAISED, refine_slices
from mri_denoise.inference.slices import SliceDenoiseInferer
from mri_denoise.networks import RefineNet
from tests.threads import pytorch_threads


def volumes(shape: tuple[int, int, int]) -> list[torch.Tensor]:
    """A filtered, a noisy and a first result, all bright enough to be no air."""
    generator = torch.Generator().manual_seed(0)
    return [0.5 + 0.5 * torch.rand(shape, generator=generator) for _ in range(3)]


def parts_by_hand(filtered: torch.Tensor, correction: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """The part of a correction of a slice that is made, all of shape (X, Y)."""
    image = filtered.numpy()
    padded = np.pad(image, 1, constant_values=np.nan)
    shifted = [padded[i : i + image.shape[0], j : j + image.shape[1]] for i in range(3) for j in range(3)]
    away = (image - np.nanmean(shifted, 0)) * np.sign(correction.numpy()) / sigma.numpy()
    return torch.from_numpy(np.interp(away, [-CLEAR, CLEAR], [FADED, RAISED])).float()


def random_refiner(num_slices: int = 3) -> RefineNet:
    torch.manual_seed(0)
    made = RefineNet(channels=(8, 16), num_slices=num_slices).eval()
    torch.nn.init.normal_(made.last.weight)
    return made


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("num_slices", [1, 3, 5])
@pytest.mark.parametrize("together", [1, 2, 3, 20])
@pytest.mark.parametrize("threads", [1, 3])
def test_each_slice_sees_the_filtered_slices_around_it(
    axis: int, num_slices: int, together: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The slices before it are seen as the filter left them, though they are overwritten."""
    monkeypatch.setattr(refining, "_run_length", lambda slices: together)
    monkeypatch.setattr(refining, "threads", lambda: threads)
    monkeypatch.setattr(refining, "_SHIFT", (1e6, 2e6))  # these corrections are not small
    filtered, noisy, pilot = volumes((9, 10, 11))
    sigma = 0.01 * torch.rand(9, 10, 11) + 0.01
    seen: dict[float, torch.Tensor] = {}

    def refine(batch: torch.Tensor) -> torch.Tensor:
        seen.update({float(one[-2, 0, 0]): one for one in batch})  # by the first pixel of the pilot
        return batch.mean(dim=1, keepdim=True)

    out = filtered.clone()
    refine_slices(out, noisy, pilot, sigma, refine, axis=axis, num_slices=num_slices)
    count, reach = filtered.shape[axis], num_slices // 2
    stacks = [volume.movedim(axis, 0) for volume in (filtered, noisy, pilot, sigma)]
    for number in range(count):
        around = [min(max(number + offset, 0), count - 1) for offset in range(-reach, reach + 1)]
        wanted = torch.cat((stacks[0][around], stacks[1][around], stacks[2][number][None], stacks[3][number][None]))
        assert torch.equal(seen[float(stacks[2][number][0, 0])], wanted)
        before = filtered.movedim(axis, 0)[number]
        correction = wanted.mean(0) - before
        part = parts_by_hand(before, correction, sigma.movedim(axis, 0)[number])
        torch.testing.assert_close(out.movedim(axis, 0)[number], before + part * correction)


@pytest.mark.parametrize(
    ("sigma", "signal", "share"),
    [
        (0.01, 1.9, 0.0),
        (0.02, 3.0, 0.25),
        (0.02, 6.0, 1.0),
        (0.03, 2.75, 0.5),  # between 1 and 4.5
        (0.04, 0.3, 0.1),
        (0.2, 1.5, 0.5),
        (0.2, 3.1, 1.0),
    ],
)
@pytest.mark.parametrize("as_map", [False, True])
def test_weak_signal_is_lowered_less_and_raised_as_any_other(
    sigma: float, signal: float, share: float, as_map: bool
) -> None:
    filtered = torch.full((16, 16, 3), sigma * signal)
    bright = torch.ones_like(filtered)
    level = torch.full_like(filtered, sigma) if as_map else torch.tensor(sigma)
    for step, part in ((-0.1 * sigma, share), (0.1 * sigma, 1.0)):
        out = filtered.clone()
        refine_slices(out, bright, bright, level, lambda batch, by=step: batch[:, :1] + by, axis=2, num_slices=1)
        torch.testing.assert_close(out, filtered + (RAISED + FADED) / 2 * part * step, rtol=0, atol=1e-5 * sigma)


def test_a_correction_of_detail_is_made_and_one_of_the_level_is_not() -> None:
    """As of large even tissue without air, of which the network took 2.5 sigma away."""
    sigma, filtered, bright = 0.05, torch.full((40, 48, 3), 0.5), torch.ones(40, 48, 3)
    detail = 0.02 * torch.randn(40, 48, generator=torch.manual_seed(0))
    shifts = {0.1: 1.0, 0.3: 0.5, 0.5: 0.0, 2.5: 0.0}  # sigma, and the part of the correction that is made
    for shift, part in shifts.items():
        for sign in (-1, 1):
            change = detail + sign * shift * sigma / ((RAISED + FADED) / 2)
            out = filtered.clone()
            level = torch.tensor(sigma)
            refine_slices(out, bright, bright, level, lambda batch, by=change: batch[:, :1] + by, axis=2, num_slices=1)
            made = ((out - filtered).movedim(2, 0) / change).mean()
            assert float(made) == pytest.approx(part * (RAISED + FADED) / 2, abs=0.07)


def test_a_correction_is_left_where_it_shifts_the_level_alone() -> None:
    sigma, filtered, bright = torch.tensor(0.05), torch.full((64, 48, 3), 0.5), torch.ones(64, 48, 3)
    change = torch.where(torch.arange(64) < 32, 0.1 * sigma, -sigma)[:, None].expand(64, 48)
    out = filtered.clone()
    refine_slices(out, bright, bright, sigma, lambda batch: batch[:, :1] + change, axis=2, num_slices=1)
    assert torch.all(out[:24] > 0.5) and torch.equal(out[40:], filtered[40:])


def test_the_same_bits_for_any_number_of_threads() -> None:
    """The boxes too: the head is small in some slices and large in others."""
    filtered, noisy, pilot = volumes((160, 170, 30))
    for number in range(30):
        for volume in (filtered, noisy, pilot):
            volume[20 + 2 * number :, :, number] *= 0.01
    refiner, sigma, results = random_refiner(), torch.tensor(0.1), []
    for count in (1, 2, 5):
        results.append(filtered.clone())
        with pytorch_threads(count), torch.no_grad():
            refine_slices(results[-1], noisy, pilot, sigma, refiner, axis=2, num_slices=3)
    assert torch.equal(results[0], results[1]) and torch.equal(results[0], results[2])
    assert not torch.equal(results[0], filtered)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_what_stands_out_is_raised_whole_and_faded_in_part(sign: float) -> None:
    """A dot, bright or dark, by a correction that brings it out and by one that takes it away."""
    sigma, filtered = torch.tensor(0.05), torch.full((16, 16, 3), 0.5)
    filtered[8, 8] += 0.1 * sign
    for change, part in ((0.08 * sign, RAISED), (-0.08 * sign, FADED)):
        out, wanted, by = filtered.clone(), filtered.clone(), torch.zeros(16, 16)
        by[8, 8], wanted[8, 8] = change, wanted[8, 8] + part * change
        refine_slices(out, filtered, filtered, sigma, lambda batch, by=by: batch[:, :1] + by, axis=2, num_slices=1)
        torch.testing.assert_close(out, wanted)


def test_slices_that_do_not_belong_together_are_no_context_for_each_other() -> None:
    filtered, noisy, pilot = volumes((9, 10, 4))

    def refine(batch: torch.Tensor) -> torch.Tensor:
        assert torch.equal(batch[:, 0], batch[:, 1]) and torch.equal(batch[:, 3], batch[:, 5])
        return batch[:, 1:2] + 0.002

    out = filtered.clone()
    refine_slices(out, noisy, pilot, torch.tensor(0.01), refine, axis=2, num_slices=3, contiguous=False)
    level, one = torch.full((9, 10), 0.01), torch.full((9, 10), 0.002)
    parts = [parts_by_hand(filtered[..., number], one, level) for number in range(4)]
    torch.testing.assert_close(out, filtered + 0.002 * torch.stack(parts, dim=-1))


def test_air_far_from_the_head_stays_as_the_filter_left_it() -> None:
    filtered, noisy, pilot = volumes((128, 128, 3))
    inside = torch.zeros(128, 128, 3, dtype=torch.bool)
    inside[48:80, 48:80] = True
    for volume in (filtered, noisy, pilot):
        volume[~inside] *= 0.01
    out = filtered.clone()
    refine_slices(out, noisy, pilot, torch.tensor(0.1), lambda batch: batch[:, :1] + 0.01, axis=2, num_slices=1)
    changed = (out != filtered)[..., 1]
    assert changed[48:80, 48:80].all() and not changed[:16].any() and not changed[:, -16:].any()


def test_the_inferer_refines_what_the_filter_gives() -> None:
    x = MetaTensor(0.3 + 0.5 * torch.rand(1, 1, 24, 26, 12), affine=torch.eye(4))
    sigma = torch.tensor([[0.1]])

    def smooth(batch: torch.Tensor) -> torch.Tensor:
        return batch[:, :-1].mean(dim=1, keepdim=True)

    refiner, options = random_refiner(), {"num_slices": 3, "noise_map": True, "precision": "float32"}
    pilot = SliceDenoiseInferer(**options)(x, smooth, sigma=sigma, slice_axis=2).as_tensor()[0, 0]
    filtered = filter_blocks(x.as_tensor()[0, 0], pilot.clone(), sigma[0, 0], 2, "cubes", passes=2)
    inferer = SliceDenoiseInferer(**options, filter_passes=2, refiner=refiner)
    known = torch.zeros(1, 3, 5)
    known[..., 0] = 1
    with torch.no_grad():
        out = inferer(x, smooth, sigma=sigma, slice_axis=2, correlation=known).as_tensor()[0, 0]
        wanted = filtered.clone()
        refine_slices(wanted, x.as_tensor()[0, 0], pilot, sigma[0, 0], refiner, axis=2, num_slices=3)
    torch.testing.assert_close(out, wanted, rtol=1e-4, atol=1e-5)
    assert (out - filtered).abs().max() > 1e-3


def test_three_planes_are_refined_along_each_and_averaged() -> None:
    x = MetaTensor(0.3 + 0.5 * torch.rand(1, 1, 34, 33, 32), affine=torch.eye(4))
    sigma, refiner = torch.tensor([[0.1]]), random_refiner()
    options = {"num_slices": 3, "noise_map": True, "precision": "float32", "planes": 3}

    def smooth(batch: torch.Tensor) -> torch.Tensor:
        return batch[:, :-1].mean(dim=1, keepdim=True)

    pilot, filtered = (
        SliceDenoiseInferer(**options, filter_passes=passes)(x, smooth, sigma=sigma, slice_axis=2).as_tensor()[0, 0]
        for passes in (0, 1)
    )
    with torch.no_grad():
        inferer = SliceDenoiseInferer(**options, filter_passes=1, refiner=refiner)
        out = inferer(x, smooth, sigma=sigma, slice_axis=2).as_tensor()[0, 0]
        along = [filtered.clone() for _ in range(3)]
        for axis, one in enumerate(along):
            refine_slices(one, x.as_tensor()[0, 0], pilot, sigma[0, 0], refiner, axis=axis, num_slices=3)
    torch.testing.assert_close(out, torch.stack(along).mean(0), rtol=1e-4, atol=1e-5)


def test_large_slices_go_through_in_tiles() -> None:
    x, sigma = 0.3 + 0.5 * torch.rand(1, 1, 300, 280, 2), torch.tensor([[0.1]])
    results = []
    for tile in (256, 1024):
        inferer = SliceDenoiseInferer(
            1, True, precision="float32", filter_passes=1, refiner=random_refiner(1), tile=tile
        )
        with torch.no_grad():
            results.append(inferer(x, lambda batch: batch[:, :1], sigma=sigma, slice_axis=2, contiguous=False))
    torch.testing.assert_close(results[0], results[1], rtol=1e-4, atol=1e-5)


def test_a_refiner_needs_the_filter() -> None:
    with pytest.raises(ValueError, match="filter_passes"):
        SliceDenoiseInferer(3, True, refiner=random_refiner())
