"""Air that a network does not see: which part of a slice it is given, and what the rest becomes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mri_denoise.inference import network_run
from mri_denoise.inference.air import MARGIN, signal_box
from mri_denoise.inference.slices import SliceDenoiseInferer
from mri_denoise.runtime import choose_precision
from tests.threads import pytorch_threads

SIGMA = 0.05


def noisy_disc(shape: tuple[int, int, int] = (6, 160, 192), radius: float = 24.0) -> torch.Tensor:
    """Slices with a disc of 0.6 around row 64, column 80, in Rician noise."""
    rng = np.random.default_rng(0)
    rows, columns = np.ogrid[: shape[1], : shape[2]]
    clean = np.broadcast_to(0.6 * (np.hypot(rows - 64, columns - 80) < radius), shape)
    noise = SIGMA * rng.standard_normal((2, *shape))
    return torch.from_numpy(np.hypot(clean + noise[0], noise[1]).astype(np.float32))


def test_the_box_holds_the_signal_with_its_margin() -> None:
    box = signal_box(noisy_disc(), torch.tensor(SIGMA))
    # blocks 32 to 96 and 48 to 112
    assert (box.rows, box.columns) == (slice(32 - MARGIN, 96 + MARGIN), slice(48 - MARGIN, 112 + MARGIN))
    assert box.rows.start % 8 == 0 and box.columns.start % 8 == 0  # pooling windows fall as in the whole slice


def test_a_level_that_varies_tells_air_from_signal_by_its_own_value() -> None:
    slices = noisy_disc()
    slices[:, :, 160:] *= 4
    level = torch.full_like(slices, SIGMA)
    level[:, :, 160:] *= 4
    assert signal_box(slices, level).columns.stop < 150
    assert signal_box(slices, torch.tensor(SIGMA)).columns.stop == 192


@pytest.mark.parametrize("slices", [torch.full((3, 64, 64), 0.5), noisy_disc((3, 96, 96), radius=0)])
def test_slices_without_air_or_without_signal_stay_whole(slices: torch.Tensor) -> None:
    box = signal_box(slices, torch.tensor(SIGMA))
    assert box.cut(slices).shape == slices.shape


def test_the_rest_gets_the_level_of_the_rim() -> None:
    slices = noisy_disc()
    box = signal_box(slices, torch.tensor(SIGMA))
    sigma = torch.full((6, 1, 160, 192), SIGMA)
    inside = torch.full((6, 1, *box.cut(slices).shape[1:]), 0.01)
    inside[..., 20:-20, 20:-20] = 0.6
    full = box.fill(inside, sigma)
    assert torch.equal(box.cut(full), inside)
    assert torch.allclose(full[..., 150:, 180:], torch.tensor(0.01))


@pytest.mark.parametrize("threads", [1, 3])
def test_the_network_sees_the_box_alone_and_the_bits_stay(threads: int) -> None:
    seen: list[tuple[int, ...]] = []

    def network(batch: torch.Tensor) -> torch.Tensor:
        seen.append(tuple(batch.shape[2:]))
        return batch[:, :1] - batch[:, :1].mean(dim=(2, 3), keepdim=True)

    volume, results = noisy_disc(), []
    for batch_size in (1, 4, 8):
        inferer = SliceDenoiseInferer(1, noise_map=True, batch_size=batch_size, precision="float32")
        with pytorch_threads(threads), torch.no_grad():
            results.append(inferer(volume[None, None], network, sigma=torch.tensor([[SIGMA]]), slice_axis=0))
    assert all(torch.equal(result, results[0]) for result in results)
    assert max(height for height, _ in seen) < 160 and max(width for _, width in seen) < 192


def test_the_shipped_network_gives_the_head_as_with_all_of_the_air(monkeypatch: pytest.MonkeyPatch) -> None:
    from mri_denoise.denoiser import Denoiser

    network = Denoiser.load("rician", device="cpu").network
    inferer = SliceDenoiseInferer(5, noise_map=True, precision=choose_precision("cpu"))
    volume = noisy_disc()[None, None]
    with torch.no_grad():
        given = inferer(volume, network, sigma=torch.tensor([[SIGMA]]), slice_axis=0)[0, 0]
        monkeypatch.setattr(network_run, "find_boxes", lambda stack, piece: None)
        whole = inferer(volume, network, sigma=torch.tensor([[SIGMA]]), slice_axis=0)[0, 0]
    difference = (given - whole).abs() / SIGMA
    assert difference[:, 40:88, 56:104].mean() < 0.03 and difference[:, 40:88, 56:104].max() < 0.5
    assert difference.mean() < 0.1 and difference[:, 140:].max() < 1  # air
