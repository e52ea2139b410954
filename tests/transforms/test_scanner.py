"""Slabs through random scanners: what is to be learned, its noise, and repeatability."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from monai.transforms import Compose

from mri_denoise.transforms import RandNoiseMapd, RandScannerNoised
from tests.phantoms import head


@cache
def slab() -> np.ndarray:
    """Five slices of a head, the slice axis first."""
    return np.moveaxis(head((48, 60, 48)), 2, 0)[22:27].copy()


def test_slabs_get_noise_of_their_map_and_a_truth_of_their_own() -> None:
    transform = RandScannerNoised("image", level=(0.01, 0.03), voxel=(4, 4, 4)).set_random_state(0)
    ratios = []
    for _ in range(12):
        item = transform({"image": slab()})
        image, truth, sigma = item["image"], item["label"], item["sigma"]
        assert image.shape == truth.shape == (5, 48, 60) and sigma.shape == (1, 48, 60)
        assert all(a.dtype == torch.float32 and torch.isfinite(a).all() for a in (image, truth, sigma))
        strong = truth[2] > 10 * sigma[0]
        ratios.append(float(((image - truth)[2] / sigma[0])[strong].std()))
        assert 0.01 < transform.parameters.level < 0.03
    # integers coarser than the noise would show; correlated noise scatters more
    assert np.median(ratios) == pytest.approx(1, abs=0.1)


def test_the_same_seed_gives_the_same_slabs() -> None:
    runs = []
    for seed in (1, 1, 2):
        transform = RandScannerNoised("image", channels=4, voxel=(4, 4, 4)).set_random_state(seed)
        runs.append(torch.stack([transform({"image": slab()})["image"] for _ in range(2)]))
    assert torch.equal(runs[0], runs[1]) and not torch.equal(runs[0], runs[2])
    assert not torch.equal(runs[0][0], runs[0][1])


def test_all_keys_get_the_same_noise() -> None:
    item = RandScannerNoised(["image", "copy"]).set_random_state(3)({"image": slab(), "copy": slab(), "note": "kept"})
    assert torch.equal(item["image"], item["copy"]) and item["note"] == "kept"


def test_without_a_scanner_nothing_changes() -> None:
    item = RandScannerNoised("image", prob=0.0)({"image": torch.from_numpy(slab())})
    assert torch.equal(item["image"], torch.from_numpy(slab())) and torch.equal(item["label"], item["image"])
    assert item["sigma"].shape == (1, 48, 60) and not item["sigma"].any()


def test_it_stands_in_a_chain_before_the_noise_map() -> None:
    chain = Compose([RandScannerNoised("image", channels=4), RandNoiseMapd("image", error=0.05)]).set_random_state(0)
    item = chain({"image": slab()})
    assert item["image"].shape == (6, 48, 60) and item["label"].shape == (5, 48, 60)
