"""Which cautions apply, by the formulas."""

from __future__ import annotations

import numpy as np
import pytest

from mri_denoise.noise.cautions import Caution, find_cautions
from mri_denoise.noise.zero_level import ZeroLevel


@pytest.mark.parametrize(
    ("share", "confidence", "said"),
    [
        (0.02, 0.4, Caution.UNSURE),
        (0.006, 0.2, Caution.UNSURE),  # a guess that there is little noise is none to rely on
        (0.006, 0.6, Caution(0)),
        (0.002, 0.2, Caution.WEAK),
    ],
)
def test_an_uncertain_level_is_said_where_it_matters(share: float, confidence: float, said: Caution) -> None:
    volume = np.random.default_rng(0).uniform(0, 1000, (32, 32, 8))
    found = find_cautions(
        volume,
        np.array(1000 * share),
        variation=1.0,
        correlation=np.ones((3, 1)),
        zero=ZeroLevel(),
        confidence=confidence,
    )
    assert found == said
