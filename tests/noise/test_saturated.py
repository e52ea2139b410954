"""Brightness that was cut off: what it hides of the noise is not taken for silence."""

from __future__ import annotations

import numpy as np
import pytest

from mri_denoise.noise.model import find_noise
from mri_denoise.noise.saturated import without_saturated
from mri_denoise.noise.simulate import add_rician
from tests.phantoms import head

SIGMA = 40.0


def noisy() -> np.ndarray:
    return add_rician(1000 * head((128, 144, 12), "T2w"), SIGMA, np.random.default_rng(1))


@pytest.mark.parametrize(("share", "masked"), [(0.01, False), (0.1, False), (0.2, False), (0.35, False), (0.01, True)])
def test_the_level_is_that_of_the_tissue_that_is_left(share: float, masked: bool) -> None:
    image = noisy()
    tissue = 1000 * head((128, 144, 12), "T2w") > 100
    if masked:
        image = image * tissue
    cut = np.minimum(image, np.percentile(image[tissue], 100 * (1 - share)).astype(np.float32))
    assert find_noise(cut, slice_axis=2).level == pytest.approx(SIGMA, rel=0.08)


def test_what_was_not_cut_off_is_left_alone() -> None:
    image = noisy()
    coarse = np.round(image / 150) * np.float32(150)  # some ten grey levels
    for whole in (image, coarse, np.zeros((16, 16, 2), np.float32), np.full((16, 16, 2), 7, np.float32)):
        assert without_saturated(whole) is whole


def test_cut_off_tissue_and_what_is_next_to_it_is_left_out() -> None:
    image = noisy()
    top = np.percentile(image, 98).astype(np.float32)
    found = without_saturated(np.minimum(image, top))
    assert np.isnan(found[image >= top]).mean() > 0.9
    assert not np.isnan(found[:4]).any()
