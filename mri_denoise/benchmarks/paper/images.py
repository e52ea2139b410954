"""The images of the paper's experiment: slices of a prepared data set, or pictures, with 8 bits as in the paper."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from zlib import crc32

import numpy as np
import torch

from mri_denoise.benchmarks.datalist import Entry, read_datalist
from mri_denoise.benchmarks.progress import Step
from mri_denoise.errors import InputError
from mri_denoise.io import Case, discover, read
from mri_denoise.noise.simulate import add_salt_pepper
from mri_denoise.report.planes import anatomical_plane
from mri_denoise.training.scans import DATALIST
from mri_denoise.transforms.intensity import ScaleIntensityRobust
from mri_denoise.volume import slice_axis_of

UPPER = 99.9  # percentile that becomes white, as in the training of the bundle
BRIGHT = 0.1  # of the scale; the noise of air stays below
FULL = 0.25  # a slice with a smaller share of the bright pixels of the fullest slice is left out


@dataclass(frozen=True, kw_only=True)
class GreyImage:
    """One image without noise.

    Args:
        name: unique among the images of a run.
        pixels: uint8 (rows, columns), the first row at the top; 255 is white.
        size: (height, width) of a pixel in mm; in any unit for pictures.
        split: ``"test"``, ``"validation"`` or ``"picture"``.
        subject: whom the image shows; its name for a picture.
        contrast: as in the datalist, or empty.
    """

    name: str
    pixels: np.ndarray
    size: tuple[float, float] = (1.0, 1.0)
    split: str = "picture"
    subject: str = ""
    contrast: str = ""

    def clean(self) -> np.ndarray:
        """float32 (rows, columns) on the scale [0, 1]."""
        return self.pixels.astype(np.float32) / 255

    def noisy(self, density: float, seed: int) -> np.ndarray:
        """The image with salt-and-pepper noise, the same at each call with the same arguments.

        Args:
            density: share of the pixels that is replaced, 0 to 1.
            seed: of the run; each image and density has its own noise.

        Returns:
            float32 (rows, columns) on the scale [0, 1].
        """
        rng = np.random.default_rng([seed, round(1000 * density), crc32(self.name.encode())])
        return add_salt_pepper(self.clean(), density, rng)


def dataset_slices(dataset: Path, step: Step | None = None) -> dict[str, list[list[GreyImage]]]:
    """Cut the test and validation volumes of a data set into slices, across the axis of acquisition.

    Slices that are nearly empty are left out: those with fewer than a quarter as many pixels above 0.1 as the fullest
    slice of the volume.

    Args:
        dataset: folder with ``datalist.json``.
        step: counts the volumes that were read.

    Returns:
        ``"test"`` and ``"validation"``: one list a volume, in the order of the datalist.

    Raises:
        InputError: if the datalist or a volume cannot be read, or no slice of a test volume can be used.
    """
    path = dataset / DATALIST
    splits = read_datalist(path)
    found: dict[str, list[list[GreyImage]]] = {"test": [], "validation": []}
    for split, volumes in found.items():
        for entry in splits.get(split, []):
            volumes.append(_usable_slices(entry, split))
            if step is not None:
                step()
    if not any(found["test"]):
        raise InputError(f"{path}: no slice to be used under test; add volumes.")
    return found


def spread_slices(volumes: Sequence[Sequence[GreyImage]], count: int, seed: int = 0) -> list[GreyImage]:
    """Choose slices that are spread evenly over the volumes, and over each volume from a seeded start.

    A volume with few slices gives all of them, and the others give more.

    Args:
        volumes: the slices of each volume.
        count: number of slices; fewer are returned if the volumes hold fewer.
        seed: of the start within each volume.

    Returns:
        the slices, in the order of the volumes.
    """
    chosen: list[GreyImage] = []
    for images, quota in zip(volumes, share_out([len(images) for images in volumes], count), strict=True):
        if quota:
            rng = np.random.default_rng([seed, crc32(images[0].name.encode())])
            places = ((np.arange(quota) + rng.uniform()) * len(images) / quota).astype(int)
            chosen += [images[place] for place in places]
    return chosen


def share_out(available: Sequence[int], count: int) -> list[int]:
    """Share a number out as equally as possible: the largest share is as small as it can be.

    Args:
        available: the most that each can give.
        count: the sum that is wanted.

    Returns:
        the shares, which add up to ``count`` or to all that is available.

    Examples:
        >>> share_out([3, 20, 20], 13)
        [3, 5, 5]
    """
    quotas = [0] * len(available)
    left = min(count, sum(available))
    while left:
        open_ = [i for i, n in enumerate(available) if quotas[i] < n]
        share, extra = divmod(left, len(open_))
        for rank, i in enumerate(open_):
            taken = min(share + (rank < extra), available[i] - quotas[i])
            quotas[i] += taken
            left -= taken
    return quotas


def pictures(folder: Path, count: int | None = None, seed: int = 0) -> list[GreyImage]:
    """Read the PNG, JPEG, BMP and TIFF pictures below a folder, in grey.

    Args:
        folder: a folder, or one picture.
        count: number of pictures, chosen at random; all by default.
        seed: of that choice.

    Raises:
        InputError: if there is no picture, or one cannot be read.
    """
    if not folder.exists():
        raise InputError(f"{folder}: no such folder of pictures.")
    cases = sorted((c for c in discover(folder)[0] if c.picture), key=lambda c: c.sources[0])
    if not cases:
        raise InputError(f"{folder}: holds no picture (PNG, JPEG, BMP, TIFF).")
    if count is not None and count < len(cases):
        chosen = np.random.default_rng(seed).choice(len(cases), count, replace=False)
        cases = [cases[i] for i in sorted(chosen)]
    return [_picture(case) for case in cases]


def _picture(case: Case) -> GreyImage:
    volume = read(case)
    white = volume.white_level or float(volume.array.max()) or 1.0
    name = case.label
    return GreyImage(name=name, pixels=_to_8_bit(volume.array[0, :, :, 0] / white), subject=name)


def _usable_slices(entry: Entry, split: str) -> list[GreyImage]:
    """All slices of one volume that show enough."""
    path = entry.image
    cases = discover(path)[0] if path.is_file() else []
    if not cases:
        raise InputError(f"{path}: named by the datalist, but no volume; run mri-denoise data prepare again.")
    volume = read(cases[0])
    array = np.nan_to_num(volume.array[:1], nan=0.0, posinf=0.0, neginf=0.0)
    scaled = ScaleIntensityRobust(UPPER)(torch.from_numpy(array))[0].numpy()
    axis = slice_axis_of(volume)
    bright = (scaled > BRIGHT).sum(axis=tuple(a for a in range(3) if a != axis))
    stem = path.name.split(".")[0]
    images = []
    for index in np.flatnonzero((bright > 0) & (bright >= FULL * bright.max())):
        plane = anatomical_plane(scaled, volume.affine, axis, int(index))
        images.append(
            GreyImage(
                name=f"{stem}/{index:03d}",
                pixels=_to_8_bit(plane.pixels),
                size=(plane.size[0] / plane.pixels.shape[0], plane.size[1] / plane.pixels.shape[1]),
                split=split,
                subject=entry.subject or stem,
                contrast=entry.contrast,
            )
        )
    return images


def _to_8_bit(image: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)


def choose_for_figure(images: Iterable[GreyImage], count: int) -> list[GreyImage]:
    """Choose up to ``count`` images in turn from each contrast: the fullest of each subject."""
    fullest: dict[tuple[str, str], GreyImage] = {}
    for image in images:
        key = (image.contrast, image.subject)
        if key not in fullest or _shown(image) > _shown(fullest[key]):
            fullest[key] = image
    groups: dict[str, list[GreyImage]] = {}
    for image in fullest.values():
        groups.setdefault(image.contrast, []).append(image)
    turns = zip_longest(*groups.values())
    return [image for turn in turns for image in turn if image is not None][:count]


def _shown(image: GreyImage) -> float:
    """Share of bright pixels."""
    return float((image.pixels > 255 * BRIGHT).mean())
