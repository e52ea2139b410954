"""Removed signal comes back to the items of a chain."""

from __future__ import annotations

import pytest
import torch

from mri_denoise.transforms import ReturnSignald

SHAPE = (2, 24, 24, 24)


def item(**more: object) -> dict[str, object]:
    """Two volumes of 0.5 with noise of 0.02, the second one with a bright blob, and a result without either."""
    image = 0.5 + 0.02 * torch.randn(SHAPE, generator=torch.manual_seed(0))
    image[1, 10:14, 10:14, 10:14] += 0.1
    one = torch.ones(2)
    correlation = torch.eye(1, 5).repeat(3, 1)
    return {
        "image": image, "pred": torch.full(SHAPE, 0.5), "scaled_sigma": 0.02 * one, "floor": one, "coils": one,
        "correlation": correlation, **more,
    }  # fmt: skip


def test_a_blob_that_was_removed_comes_back_and_is_counted() -> None:
    found = ReturnSignald("pred")(item())
    assert found["returned"][0] < 100 and 64 <= found["returned"][1] < 400
    assert float(found["pred"][1, 10:14, 10:14, 10:14].mean()) == pytest.approx(0.6, abs=0.02)
    assert float(found["pred"][0].mean()) == pytest.approx(0.5, abs=1e-3)


def test_it_takes_maps_and_batched_correlations() -> None:
    maps = {"scaled_sigma": torch.full(SHAPE, 0.02), "correlation": torch.eye(1, 5).repeat(3, 1)[None]}
    expected, found = ReturnSignald("pred")(item()), ReturnSignald("pred")(item(**maps))
    torch.testing.assert_close(found["pred"], expected["pred"])


def test_it_can_be_turned_off() -> None:
    found = ReturnSignald("pred", enabled=False)(item())
    assert "returned" not in found and (found["pred"] == 0.5).all()


def test_what_is_below_0_before_and_after_is_not_counted() -> None:
    """A result of 0 from which more is to be taken: noise is far weaker than the level says."""
    weak = {"scaled_sigma": torch.full((2,), 5.0), "pred": torch.full(SHAPE, -0.1)}
    found = ReturnSignald("pred")(item(**weak, guard_map=None))
    assert found["returned"].tolist() == [0, 0] and not found["guard_map"].any()
    assert float(found["pred"].max()) <= 0
