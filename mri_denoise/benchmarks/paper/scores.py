"""Scores of methods on noisy copies of images, stored a few at a time, so that a stopped run can continue."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mri_denoise.benchmarks.baselines import Method
from mri_denoise.benchmarks.cache import Json, ResultCache
from mri_denoise.benchmarks.paper.images import GreyImage
from mri_denoise.benchmarks.progress import Step
from mri_denoise.benchmarks.scores import Score, timed
from mri_denoise.evaluation import metrics

BATCH = 16  # images whose scores are stored together


@dataclass(frozen=True, kw_only=True)
class ImageScore(Score):
    """One result on an image; PSNR (with white as peak) and SSIM are taken over the whole image.

    Args:
        images: the set of images: ``"slices"`` (Table 3), ``"compared"`` (Tables 2 and 4) or ``"pictures"``.
        split: of the data set, or ``"picture"``.
        subject: whom the image shows.
    """

    images: str
    split: str
    subject: str

    def columns(self) -> dict[str, str | float]:
        """The row of ``scores.csv``: the density is a share from 0 to 1, the time in milliseconds."""
        return {
            "images": self.images, "method": self.method, "density": self.level / 100, "image": self.image,
            "split": self.split, "subject": self.subject, "contrast": self.contrast, "psnr": self.psnr,
            "ssim": self.ssim, "milliseconds": 1000 * self.seconds,
        }  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ImageSet:
    """Images under one name.

    Args:
        name: of the set.
        images: without noise.
        seed: of their noise.
    """

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
    method: Method, images: ImageSet, densities: Sequence[float], cache: ResultCache, step: Step
) -> list[ImageScore]:
    """Score one method on one set of images; what is in the cache is not computed again.

    A method that uses the noise level is given the true one: the root mean square of noisy minus clean.

    Args:
        method: what denoises.
        images: what is denoised.
        densities: of the noise, in percent of the pixels.
        cache: where scores are kept.
        step: counts images.

    Returns:
        one score for each density and image, in this order.

    Raises:
        OutputError: if scores cannot be written.
    """
    scores: list[ImageScore] = []
    for level in densities:
        for digest, group in images.batches:
            key: dict[str, Json] = {**method.identity(), "method": method.name}
            key |= {"set": images.name, "level": level, "seed": images.seed, "images": digest}
            stored: Any = cache.load(key)
            if stored is None:
                stored = _score_group(method, group, level, images.seed, step)
                cache.store(key, stored)
            else:
                step(len(group))
            scores += [_score(method, images, image, level, row) for image, row in zip(group, stored, strict=True)]
    return scores


def _score_group(method: Method, group: Sequence[GreyImage], level: float, seed: int, step: Step) -> list[Json]:
    """PSNR, SSIM and seconds of each image; the method is called once before, for what it loads and compiles."""
    method(*_noisy(group[0], level, seed))
    found: list[Json] = []
    for image in group:
        noisy, sigma = _noisy(image, level, seed)
        result, seconds = timed(method, noisy, sigma)
        clean, result = image.clean(), np.clip(result, 0, 1)
        psnr, ssim = metrics.psnr(clean, result, peak=1.0), metrics.ssim(clean, result, data_range=1.0)
        found.append({"psnr": psnr, "ssim": ssim, "seconds": seconds})
        step()
    return found


def _noisy(image: GreyImage, level: float, seed: int) -> tuple[np.ndarray, float]:
    """The image with noise, and the root mean square of the noise."""
    noisy = image.noisy(level / 100, seed)
    return noisy, float(np.sqrt(np.mean(np.square(noisy - image.clean()))))


def _score(method: Method, images: ImageSet, image: GreyImage, level: float, stored: dict[str, float]) -> ImageScore:
    return ImageScore(
        images=images.name,
        method=method.name,
        level=level,
        image=image.name,
        split=image.split,
        subject=image.subject,
        contrast=image.contrast,
        psnr=stored["psnr"],
        ssim=stored["ssim"],
        seconds=stored["seconds"],
    )
