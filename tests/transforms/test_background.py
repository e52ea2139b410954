"""The last steps of a chain: empty air stays empty, and the result is blended with the input."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from mri_denoise.transforms import BlendStrengthd, RestoreBackgroundd
from mri_denoise.transforms.background import empty_voxels

SHAPE = (9, 8, 7)
AFFINE = np.diag([1.0, 1.0, 4.0, 1.0])
MODEL = {"name": "test", "version": "1", "weights_sha256": "0" * 64}


def test_strength_goes_from_input_to_result() -> None:
    raw, result = torch.rand(1, *SHAPE), torch.rand(1, *SHAPE)
    for strength in (0.0, 0.25, 1.0):
        out = BlendStrengthd("pred", strength)({"pred": result, "raw": raw})["pred"]
        torch.testing.assert_close(out, (1 - strength) * raw + strength * result)
    odd = raw.clone()
    odd[0, 0, 0, 0] = -0.0
    untouched = BlendStrengthd("pred", 0)({"pred": result, "raw": odd})["pred"]
    assert untouched.numpy().tobytes() == odd.numpy().tobytes()
    for strength in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="strength"):
            BlendStrengthd("pred", strength)


@pytest.mark.parametrize("shape", [(9, 8, 7), (9, 8, 1), (1, 1, 1), (2, 2, 2)])
def test_empty_voxels_are_those_with_empty_neighbours(shape: tuple[int, ...]) -> None:
    volume = np.random.default_rng(0).random((2, *shape), dtype=np.float32)
    volume[:, : shape[0] - shape[0] // 3] = 0
    volume[1, 0, 0, 0] = -1
    found = empty_voxels(torch.from_numpy(volume)).numpy()
    for t in range(2):
        wanted = ndimage.maximum_filter(np.abs(volume[t]), 3, mode="constant") == 0
        np.testing.assert_array_equal(found[t], wanted)


def test_masked_air_stays_empty_and_the_rest_is_left() -> None:
    raw = torch.zeros(2, *SHAPE)
    raw[0, 4:, :, :] = 5
    raw[1, :, 3:, :] = 5
    out = RestoreBackgroundd("pred")({"pred": torch.ones_like(raw), "raw": raw})["pred"]
    assert (out[0, :3] == 0).all() and (out[0, 3:] == 1).all()
    assert (out[1, :, :2] == 0).all() and (out[1, :, 2:] == 1).all()
