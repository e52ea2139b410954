"""Score denoisers on noisy copies of images, a few at a time, so that a run that was stopped goes on where it was."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np

from mri_denoise.benchmarks.baselines import Denoiser
from mri_denoise.benchmarks.cache import ResultCache
from mri_denoise.benchmarks.paper.images import GreyImage
from mri_denoise.evaluation import metrics

BATCH = 16  # images whose scores are stored together
NOISY = "noisy"


@dataclass(frozen=True)
class Score:
    """How close one result is to the image without noise.

    Args:
        images: the set of images: ``"slices"`` (Table 3), ``"compared"`` (Tables 2 and 4), ``"pictures"``.
        method: short name of the method; ``"noisy"`` is the image before denoising.
        density: share of pixels that the noise replaced, 0 to 1.
        image: its name.
        split: of the data set, or ``"picture"``.
        subject: whom it shows.
        contrast: as the datalist says.
        psnr: dB, over the whole image, the peak being white.
        ssim: over the whole image.
        milliseconds: one call of the method, without reading and scoring.
    """

    images: str
    method: str
    density: float
    image: str
    split: str
    subject: str
    contrast: str
    psnr: float
    ssim: float
    milliseconds: float


@dataclass(frozen=True)
class ImageSet:
    """Images under one name, and the seed of their noise."""

    name: str
    images: Sequence[GreyImage]
    seed: int

    @cached_property
    def batches(self) -> list[tuple[str, Sequence[GreyImage]]]:
        """The images in groups, each with the SHA-256 of their names and pixels."""
        groups = []
        for start in range(0, len(self.images), BATCH):
            group = self.images[start : start + BATCH]
            digest = hashlib.sha256()
            for image in group:
                digest.update(f"{image.name} {image.pixels.shape} ".encode() + image.pixels.tobytes())
            groups.append((digest.hexdigest(), group))
        return groups


def score_method(
    method: Denoiser,
    images: ImageSet,
    density: float,
    cache: ResultCache,
    on_image: Callable[[], None] = lambda: None,
) -> list[Score]:
    """Scores of one method on one set of images at one density, from the cache as far as they are there.

    Methods that use the noise level are given the true one: the root mean square of noisy minus clean.

    Args:
        method: the denoiser.
        images: what is denoised.
        density: share of pixels that the noise replaces.
        cache: where scores are kept.
        on_image: called after each image.

    Returns:
        one score an image, in their order.
    """
    scores: list[Score] = []
    warm = False
    for digest, group in images.batches:
        key = {
            "set": images.name, "method": method.name, "made_by": method.implementation(), "density": density,
            "seed": images.seed, "images": digest,
        }  # fmt: skip
        stored = cache.load(key)
        if stored is not None:
            scores += [Score(**row) for row in stored["scores"]]
            for _ in group:
                on_image()
            continue
        if not warm:  # the first call of a method pays for what it loads and compiles
            noisy = group[0].noisy(density, images.seed)
            method(noisy, _sigma(group[0], noisy))
            warm = True
        found = []
        for image in group:
            found.append(_score(method, images, image, density))
            on_image()
        cache.store(key, {"scores": [asdict(score) for score in found]})
        scores += found
    return scores


def _sigma(image: GreyImage, noisy: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(noisy - image.clean()))))


def _score(method: Denoiser, images: ImageSet, image: GreyImage, density: float) -> Score:
    noisy, clean = image.noisy(density, images.seed), image.clean()
    sigma = _sigma(image, noisy)
    start = time.perf_counter()
    result = method(noisy, sigma)
    milliseconds = 1000 * (time.perf_counter() - start)
    result = np.clip(result, 0, 1)
    return Score(
        images.name, method.name, density, image.name, image.split, image.subject, image.contrast,
        metrics.psnr(clean, result, peak=1.0), metrics.ssim(clean, result, data_range=1.0), milliseconds,
    )  # fmt: skip
