"""Values far above an image that are no measurements, and bright ones that are."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mri_denoise.noise.outlying import find_ceiling
from mri_denoise.noise.simulate import add_rician
from tests.phantoms import head

SHAPE = (48, 60, 12)
CLEAN = 1000 * head(SHAPE)


def scan(dtype: str = "uint16") -> np.ndarray:
    return np.rint(add_rician(CLEAN, 30.0, np.random.default_rng(0))).astype(dtype)


@settings(max_examples=30, deadline=None)
@given(
    value=st.integers(2500, 65535), depth=st.integers(1, 15), dtype=st.sampled_from(["uint16", "float32", "float64"])
)
def test_padding_above_is_found_whatever_its_value(value: int, depth: int, dtype: str) -> None:
    image = scan(dtype)
    image[:depth] = value
    below = image[depth:].max()
    assert below <= find_ceiling(image) < value
    if value > 5000:
        image[-1, :3] = value // 2  # a second one
        assert image[depth:-1].max() <= find_ceiling(image) < value // 2


def test_text_and_wrapped_values_are_found_together() -> None:
    image = scan()
    largest = image.max()
    image[5:8, 5:20, 3] = 20000
    air = (np.random.default_rng(1).random(SHAPE) < 0.02) & (CLEAN < 20)
    image[air] = np.random.default_rng(2).integers(65500, 65536, air.sum())
    assert largest <= find_ceiling(image) < 20000


def test_what_the_sample_of_a_large_image_misses_is_no_padding() -> None:
    image = np.random.default_rng(0).normal(500, 60, (260, 256, 128)).astype(np.float32)
    image[:20] = 65535
    image[60:100, 60:100, 77] += 600  # in a plane that an even stride would not see
    assert image[20:].max() <= find_ceiling(image) < 65535


def saturated() -> np.ndarray:
    return np.minimum(scan(), 700)


def tubes() -> np.ndarray:
    """Bright tubes in air, as in a phantom: nothing lies between, and noise tells them from padding."""
    clean = np.zeros(SHAPE)
    clean[10:14, 10:14] = 1000
    return add_rician(clean, 10.0, np.random.default_rng(0))


@pytest.mark.parametrize(
    "image",
    [
        scan(),
        scan("float32"),
        saturated(),
        tubes(),
        np.where(CLEAN > 300, 20000.0 + scan("float32"), scan("float32")),
        scan("float32") - 1024,
        np.where(CLEAN > 100, scan("float32"), 0),
        (CLEAN > 300).astype(np.uint8),
        np.digitize(CLEAN, [300, 700]),
        np.zeros(SHAPE),
        np.full(SHAPE, 7.0),
        np.full(SHAPE, np.nan),
        np.zeros((0, 3, 3)),
    ],
    ids=[
        "scan",
        "real",
        "saturated",
        "tubes",
        "bright",
        "shifted",
        "masked",
        "mask",
        "3 levels",
        "empty",
        "even",
        "nan",
        "none",
    ],
)
def test_what_may_be_a_measurement_is_one(image: np.ndarray) -> None:
    assert math.isinf(find_ceiling(image))


def test_a_few_hot_pixels_and_infinity_are_not_its_business() -> None:
    image = scan("float32")
    image[0, 0, :3], image[1, 1, 1] = 50000, np.inf
    assert math.isinf(find_ceiling(image))
