"""Random maps of intensities: range, air, continuity, flatness and repeatability."""

from __future__ import annotations

import numpy as np
import pytest

from mri_denoise.transforms.contrast import LENGTH, TOP, apply_table, contrast_table, tissue_table


@pytest.mark.parametrize("make", [contrast_table, tissue_table])
def test_tables_are_in_range_repeatable_and_keep_air_mostly_dark(make: object) -> None:
    tables = [make(np.random.RandomState(seed)) for seed in range(100)]
    for table in tables:
        assert table.shape == (LENGTH,) and table.dtype == np.float32
        assert table.min() >= 0 and table.max() <= 1 + 1e-6
    assert 0.65 < np.mean([t[0] == 0 for t in tables]) < 0.95
    assert np.array_equal(tables[7], make(np.random.RandomState(7)))
    assert not np.array_equal(tables[7], tables[8])


def test_a_contrast_is_continuous_and_may_turn_the_order_of_tissues_around() -> None:
    tables = [contrast_table(np.random.RandomState(seed)) for seed in range(50)]
    assert max(np.abs(np.diff(t)).max() for t in tables) < 0.01
    assert sum((np.diff(t) < 0).any() and (np.diff(t) > 0).any() for t in tables) > 40


def test_tissues_are_flat() -> None:
    for seed in range(50):
        table = tissue_table(np.random.RandomState(seed))
        slopes = np.abs(np.diff(table)) / (TOP / (LENGTH - 1))
        assert np.mean(slopes < 0.16) > 0.5
        # noise of the source inside a tissue is (nearly) gone: at most the 15 % of texture that is kept
        middle = np.flatnonzero(slopes < 0.16)
        assert len(middle) > LENGTH // 2


def test_a_table_is_looked_up_by_intensity() -> None:
    table = np.linspace(0, TOP, LENGTH).astype(np.float32)
    image = np.array([[-1.0, 0.0, 0.4], [1.0, TOP, 9.0]], dtype=np.float32)
    out = apply_table(image, table)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, np.clip(image, 0, TOP), atol=TOP / LENGTH)
