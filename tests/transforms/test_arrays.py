"""Transforms take an image in whatever holds it: the numbers decide, not their container."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from monai.transforms import Transform

from mri_denoise import transforms as T

SHAPE = (3, 24, 20, 18)
CONTAINERS: dict[str, Callable[[np.ndarray], object]] = {
    "with gradients": lambda values: torch.from_numpy(values.copy()).requires_grad_(),
    "big-endian": lambda values: values.astype(">f4"),
    "turned": lambda values: np.ascontiguousarray(values[:, ::-1])[:, ::-1],
    "read-only": lambda values: np.frombuffer(values.tobytes(), "f4").reshape(values.shape),
    "double": lambda values: values.astype("f8"),
}
MAKERS: dict[str, Callable[[], Transform]] = {
    "scale": lambda: T.ScaleIntensityRobustd("image"),
    "Rician": lambda: T.RicianNoised("image", sigma=0.05),
    "magnitude": lambda: T.RandMagnitudeNoised("image", sigma=0.05, g_factor=(1, 2, 1.0)).set_random_state(0),
    "salt and pepper": lambda: T.SaltPepperNoised("image"),
    "scanner": lambda: T.RandScannerNoised("image").set_random_state(0),
    "slab": lambda: T.RandReferenceSlabd("image", size=8, blur=(0.5, 1, 1.0)).set_random_state(0),
    "estimate": lambda: T.EstimateNoised("image"),
}


def numbers(image: object) -> np.ndarray:
    return np.asarray(image.detach() if isinstance(image, torch.Tensor) else image, dtype=np.float32)


@pytest.mark.filterwarnings("error:The given NumPy array is not writable")
@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("name", MAKERS)
def test_the_container_does_not_matter(name: str, container: str) -> None:
    values = np.random.default_rng(0).random(SHAPE, dtype=np.float32)
    if name == "scanner":
        values = values[..., 0]
    wanted = MAKERS[name]()({"image": torch.from_numpy(values)})["image"]
    found = MAKERS[name]()({"image": CONTAINERS[container](values)})["image"]
    np.testing.assert_array_equal(numbers(found), numbers(wanted))


def test_bfloat16_is_taken_which_numpy_does_not_know() -> None:
    values = torch.from_numpy(np.random.default_rng(0).random(SHAPE, dtype=np.float32)).bfloat16()
    for name in ("scale", "Rician", "magnitude", "salt and pepper", "slab", "estimate"):
        found = MAKERS[name]()({"image": values})["image"]
        wanted = MAKERS[name]()({"image": values.float()})["image"]
        assert torch.equal(found, wanted.to(found.dtype)), name


def test_a_slab_of_a_volume_without_an_affine_is_one_of_cubes() -> None:
    slab = T.RandReferenceSlabd("image", size=8).set_random_state(0)({"image": np.ones((1, 20, 20, 20))})["image"]
    assert slab.shape == (3, 8, 8) and slab.dtype == torch.float32
