"""The images of the paper's experiment: slices of a prepared data set, or pictures, 8-bit as the paper's are."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import torch

from mri_denoise.errors import InputError
from mri_denoise.io import Case, discover, read
from mri_denoise.noise.simulate import add_salt_pepper
from mri_denoise.report.planes import anatomical_plane
from mri_denoise.transforms.intensity import ScaleIntensityRobust
from mri_denoise.volume import slice_axis_of

UPPER = 99.9  # percentile that becomes white, as in the bundle's training
BRIGHT = 0.1  # of the scale; the air's noise stays below
SPLITS = ("training", "validation", "test")
FULL = 0.25  # a slice counts from this share of the fullest slice's bright pixels on


@dataclass(frozen=True)
class GreyImage:
    """One image without noise.

    Args:
        name: unique among the images of a run.
        pixels: uint8 (rows, columns), the first row on top; 255 is white.
        size: (height, width) of a pixel in mm, or in any unit for pictures.
        split: ``"test"``, ``"validation"`` or ``"picture"``.
        subject: whom it shows; the image's own name for pictures.
        contrast: as the datalist says, or empty.
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
        """With salt-and-pepper noise, the same at each call with the same arguments.

        Args:
            density: share of pixels replaced, 0 to 1.
            seed: of the whole run; each image and density has its own noise.

        Returns:
            float32 (rows, columns) on the scale [0, 1].
        """
        rng = np.random.default_rng([seed, round(1000 * density), crc32(self.name.encode())])
        return add_salt_pepper(self.clean(), density, rng)


def dataset_slices(dataset: Path, on_volume: Callable[[], None] = lambda: None) -> dict[str, list[list[GreyImage]]]:
    """The slices of each test and validation volume of a data set, cut across the axis of acquisition.

    Those nearly empty are left out (fewer than a quarter as many pixels above 0.1 as the volume's fullest slice has).

    Args:
        dataset: folder with ``datalist.json``.
        on_volume: called after each volume that was read.

    Returns:
        ``"test"`` and ``"validation"``: one list a volume, in the order of the datalist.

    Raises:
        InputError: if the datalist or a volume cannot be read, or no slice of a test volume can be used.
    """
    datalist = read_datalist(dataset)
    found: dict[str, list[list[GreyImage]]] = {"test": [], "validation": []}
    for split, volumes in found.items():
        for entry in datalist[split]:
            volumes.append(_usable_slices(dataset, split, entry))
            on_volume()
    if not any(found["test"]):
        raise InputError(f"{dataset / 'datalist.json'}: no slice to be used under test; add volumes.")
    return found


def spread_slices(volumes: Sequence[Sequence[GreyImage]], count: int, seed: int = 0) -> list[GreyImage]:
    """Slices spread evenly over volumes, and evenly over each volume from a seeded start.

    A volume with few slices gives all of them, the others the more.

    Args:
        volumes: slices of each.
        count: how many slices; fewer come back if the volumes hold fewer.
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


def read_datalist(dataset: Path) -> dict[str, list[dict[str, Any]]]:
    """The volumes of ``training``, ``validation`` and ``test``; a split that is not named is empty.

    Raises:
        InputError: if there is no such file, or it is no datalist.
    """
    path = dataset / "datalist.json"
    try:
        lists = json.loads(path.read_text(encoding="utf-8"))
        return {split: [dict(e, image=str(e["image"])) for e in lists.get(split, [])] for split in SPLITS}
    except OSError as error:
        raise InputError(f"{path}: cannot be read; make one with mri-denoise data prepare.") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{path}: is no datalist of images; make one with mri-denoise data prepare.") from error


def share_out(available: Sequence[int], count: int) -> list[int]:
    """How many to take of each so that all give alike as far as they can: the largest share is as small as possible.

    Args:
        available: how many there are of each.
        count: how many are wanted in all.

    Returns:
        numbers that add up to ``count``, or to all there are.
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
    """PNG, JPEG, BMP and TIFF pictures below a folder, in grey.

    Args:
        folder: a folder, or one picture.
        count: take so many of them, chosen at random; all by default.
        seed: of that choice.

    Raises:
        InputError: if there is none, or one cannot be read.
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
    return GreyImage(name, _to_8_bit(volume.array[0, :, :, 0] / white), subject=name)


def _usable_slices(dataset: Path, split: str, entry: dict[str, Any]) -> list[GreyImage]:
    """All slices of one volume that show enough."""
    path = dataset / entry["image"]
    cases = discover(path)[0] if path.is_file() else []
    if not cases:
        raise InputError(f"{path}: named by the datalist, but no volume; run mri-denoise data prepare again.")
    volume = read(cases[0])
    array = np.nan_to_num(volume.array[:1], nan=0.0, posinf=0.0, neginf=0.0)
    scaled = ScaleIntensityRobust(UPPER)(torch.from_numpy(array))[0].numpy()
    axis = slice_axis_of(volume)
    bright = (scaled > BRIGHT).sum(axis=tuple(a for a in range(3) if a != axis))
    stem = Path(entry["image"]).name.split(".")[0]
    images = []
    for index in np.flatnonzero((bright > 0) & (bright >= FULL * bright.max())):
        plane = anatomical_plane(scaled, volume.affine, axis, int(index))
        size = (plane.size[0] / plane.pixels.shape[0], plane.size[1] / plane.pixels.shape[1])
        subject, contrast = str(entry.get("subject", stem)), str(entry.get("contrast", ""))
        name = f"{stem}/{index:03d}"
        images.append(GreyImage(name, _to_8_bit(plane.pixels), size, split, subject, contrast))
    return images


def _to_8_bit(image: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)


def choose_for_figure(images: Iterable[GreyImage], count: int) -> list[GreyImage]:
    """Up to ``count`` images, in turn from each contrast: of every subject the one that shows most."""
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
    """Share of pixels that are bright."""
    return float((image.pixels > 255 * BRIGHT).mean())
