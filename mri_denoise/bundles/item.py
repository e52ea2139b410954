"""What a bundle's steps begin with, what they found, and whether they changed the image."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Any

import numpy as np
import torch

from mri_denoise.bundles.parsed import Item
from mri_denoise.errors import InputError
from mri_denoise.inference.limits import without_missing
from mri_denoise.noise.cautions import Caution
from mri_denoise.settings import Sigma
from mri_denoise.volume import Volume, slice_axis_of

Level = Sigma | str | float | PathLike[str] | np.ndarray  # what may be given as the level of the noise
_LEFT = 0.01  # share of the voxels of an image that must be left
# names in `Denoised`, and in the item
_FOUND = {
    "sigma": "sigma",
    "variation": "sigma_variation",
    "zero": "zero",
    "returned": "returned",
    "cautions": "cautions",
}


def split_level(sigma: Level, shape: tuple[int, ...]) -> tuple[Sigma, torch.Tensor | None]:
    """Tell what a bundle's config takes, which is text, from a map in memory, which goes beside the image.

    Args:
        sigma: as :meth:`~mri_denoise.settings.Sigma.parse` takes it, or an array in the unit of the image: one number,
            a map (X, Y, Z) of all volumes, or one of each volume (T, X, Y, Z).
        shape: of the image, (T, X, Y, Z).

    Returns:
        the level for the config, and the map, float32 of shape (T or 1, X, Y, Z), or None.

    Raises:
        InputError: if the map has another shape, or values that no level has.
    """
    if not isinstance(sigma, np.ndarray):
        return Sigma.parse(sigma), None
    if sigma.size == 1:
        return Sigma.parse(only_number(sigma)), None
    if sigma.shape not in (shape, shape[1:]):
        raise InputError(f"sigma of shape {sigma.shape}: must be one number, or a map of the shape {shape[1:]}.")
    if sigma.dtype.kind not in "iuf":
        raise InputError(f"sigma of type {sigma.dtype}: a noise map must hold real numbers.")
    with np.errstate(over="ignore", under="ignore"):
        values = np.array(sigma, dtype=np.float32, order="C")
    if np.ma.is_masked(sigma):  # whatever is there, nobody gave it
        raise InputError("sigma: a noise map must have a level at each voxel, none masked; fill them in.")
    if not np.isfinite(values).all() or (values < 0).any():
        raise InputError("sigma: a noise map must be finite and not negative; correct it.")
    return Sigma(), torch.from_numpy(values.reshape(-1, *shape[1:]))


def only_number(sigma: np.ndarray) -> Any:
    """The number of an array that holds one; NaN, which no level is, if it is masked."""
    return np.nan if np.ma.is_masked(sigma) else sigma.item()


def found_in(item: Mapping[Any, Any], results: torch.Tensor, inputs: torch.Tensor) -> dict[str, Any]:
    """Gather what the steps found, as :class:`~mri_denoise.denoiser.Denoised` names it; None where they did not look.

    Nothing counts as returned to a volume that is its input, as at strength 0, or of which hardly anything is left,
    which is a caution.

    Args:
        item: after the last step.
        results: shape (T, X, Y, Z), on any device.
        inputs: the volumes that they were made of, on the same grid.
    """
    found: dict[str, Any] = {n: None if item.get(key) is None else np.asarray(item[key]) for n, key in _FOUND.items()}
    changed = [not torch.equal(one.cpu(), other.cpu()) for one, other in zip(results, inputs, strict=True)]
    vanished = _vanished(found, item.get("fill"), results, inputs)
    same = ~np.array(changed) if vanished is None else ~np.array(changed) | vanished
    if found["returned"] is not None:
        found["returned"] = np.where(same, 0, found["returned"].reshape(-1))
    shown = item.get("guard_map")
    if shown is not None:
        shown = shown.numpy()
        shown[same] = 0
    if vanished is not None:
        found["cautions"] = found["cautions"].reshape(-1) | np.where(vanished, int(Caution.VANISHED), 0)
    return {**found, "changed": changed, "guard_map": shown}


def _vanished(found: Mapping[str, Any], fill: Any, results: torch.Tensor, inputs: torch.Tensor) -> np.ndarray | None:
    """Tell of which volumes hardly any voxel is left, as a noise level leaves it that is far too high.

    Only volumes of strong noise are looked at. A voxel is gone if its result is no farther from no signal than the
    darkest of the input; those that are masked count for nothing.

    Returns:
        boolean, shape (T,); None where nobody looked for cautions.
    """
    if found["cautions"] is None:
        return None
    flags = found["cautions"].reshape(-1)
    zeros, fills = (
        np.full(len(flags), usual) if value is None else np.asarray(value, dtype=np.float64).reshape(-1)
        for value, usual in ((found["zero"], 0.0), (fill, np.nan))
    )
    gone = np.zeros(len(flags), dtype=bool)
    for volume in np.flatnonzero(flags & Caution.STRONG):
        before, after = (torch.as_tensor(array)[volume].cpu() for array in (inputs, results))
        signal = (before != zeros[volume]) & (before != fills[volume])
        old, new = ((array[signal] - zeros[volume]).abs() for array in (before, after))
        if old.numel():
            left = (new > old.min()) | (after[signal] == before[signal])
            gone[volume] = float(left.float().mean()) < _LEFT
    return gone


def item_of(volume: Volume) -> Item:
    """Make the item that a bundle's steps begin with.

    Args:
        volume: what was read; its array is shared where it is finite everywhere, and never changed.

    Returns:
        ``image`` and ``raw``: the same MetaTensor of shape (T, X, Y, Z), NaN and infinity replaced
        (:func:`~mri_denoise.inference.limits.without_missing`; a writer puts them back); ``slice_axis``,
        ``contiguous``, ``picture`` and, where the file defines one, ``white_level``; and ``missing``, boolean of the
        image's shape, where something was replaced.

    Raises:
        InputError: if it is no volume, or of another shape.
    """
    from monai.data import MetaTensor

    check_volume(volume)
    array = np.asarray(volume.array, dtype=np.float32)
    with np.errstate(invalid="ignore"):  # infinity less infinity
        finite = np.isfinite(array.sum(dtype=np.float64))
    missing = None if finite else torch.from_numpy(~np.isfinite(array))
    if missing is not None:
        array = array.copy()
        for one in array:
            one[...] = without_missing(torch.from_numpy(one)).numpy()
    if not array.flags.writeable or min(array.strides) < 0:  # torch knows neither
        array = array.copy()
    image = MetaTensor(torch.from_numpy(array), affine=torch.from_numpy(np.array(volume.affine, dtype=np.float64)))
    item: Item = {"image": image, "raw": image, "slice_axis": slice_axis_of(volume), "contiguous": volume.contiguous}
    item["picture"] = volume.picture
    if missing is not None:
        item["missing"] = missing
    if volume.white_level is not None:
        item["white_level"] = volume.white_level
    return item


def check_volume(volume: Volume) -> None:
    """Refuse what another program took for a volume.

    Args:
        volume: what was given.

    Raises:
        InputError: if it is none, or of another shape.
    """
    if not isinstance(volume, Volume):
        kind = type(volume).__name__
        raise InputError(f"image of type {kind}: a denoiser takes a Volume; mri_denoise.denoise takes other images.")
    array = volume.array
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf":
        kind = f"type {array.dtype}" if isinstance(array, np.ndarray) else type(array).__name__
        raise InputError(f"volume of {kind}: must be a NumPy array of real numbers.")
    if array.ndim != 4 or 0 in array.shape:
        raise InputError(f"volume of shape {array.shape}: must be (T, X, Y, Z).")
    if np.shape(volume.affine) != (4, 4):
        raise InputError(f"affine of shape {np.shape(volume.affine)}: must be 4 x 4.")
