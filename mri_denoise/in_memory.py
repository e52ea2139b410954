"""Images in memory as volumes and back: NumPy, nibabel, SimpleITK, MONAI."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from mri_denoise.errors import InputError, printable
from mri_denoise.io.scaling import to_stored, to_values, vanishes
from mri_denoise.volume import Volume, spans_space

if TYPE_CHECKING:
    import nibabel as nib
    import SimpleITK as sitk

_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])  # SimpleITK's world to RAS+
_PLANES = 2**22  # voxels that are converted at a time, for which copies in float64 are made


@dataclass(frozen=True, kw_only=True)
class Taken:
    """An image as a volume, and the way back.

    Args:
        volume: its pixels with their geometry.
        give_back: makes an object of the image's kind from float32 (T, X, Y, Z). A number of the image whose value did
            not change is kept as it is.
    """

    volume: Volume
    give_back: Callable[[np.ndarray], object]


def take(image: object, spacing: Sequence[float] | None) -> Taken:
    """The image as a volume.

    Args:
        image: an array, a nibabel or SimpleITK image, or a tensor, as for :func:`mri_denoise.images.denoise`.
        spacing: edges of a voxel in mm, for arrays; cubes by default.

    Raises:
        InputError: if nobody knows how to take it, or its values are beyond the range of float32.
    """
    library = type(image).__module__.partition(".")[0]
    bases = {base.__module__.partition(".")[0] for base in type(image).__mro__}
    if isinstance(image, np.ma.MaskedArray):
        return _take_masked(image, spacing)
    if isinstance(image, np.ndarray):
        return _take_array(image, spacing)
    if "nibabel" in bases and hasattr(image, "affine"):
        return _take_nibabel(cast("nib.spatialimages.SpatialImage", image))
    if library == "SimpleITK":
        return _take_sitk(cast("sitk.Image", image))
    if "torch" in bases:
        return _take_tensor(image)
    raise InputError(
        f"image of type {type(image).__name__}: not known; give a NumPy array, a nibabel or SimpleITK image, a "
        "MetaTensor, or a path."
    )


def _take_array(image: np.ndarray, spacing: Sequence[float] | None) -> Taken:
    if image.ndim not in (2, 3, 4) or 0 in image.shape:
        raise InputError(f"array of shape {image.shape}: must be (X, Y), (X, Y, Z) or (X, Y, Z, T).")
    affine, plain = _affine_of(spacing, image.ndim), np.asarray(image)
    stored = _series(plain)
    values = _values(stored)
    white = 255.0 if plain.dtype == np.uint8 and plain.ndim == 2 else None
    volume = Volume(array=values, affine=affine, white_level=white, picture=plain.ndim == 2)

    def give_back(array: np.ndarray) -> np.ndarray:
        return _back(array, stored, plain)

    return Taken(volume=volume, give_back=give_back)


def _take_masked(image: np.ma.MaskedArray[Any, Any], spacing: Sequence[float] | None) -> Taken:
    """A masked array: what is masked is no data, and stays as it is."""
    mask, plain = np.ma.getmaskarray(image), np.ma.getdata(image)
    if plain.dtype.names is not None:  # its mask has fields, too
        return _take_array(plain, spacing)  # which says what is wrong
    open_values = plain.copy()
    open_values[mask] = 0  # whatever is there, it may be beyond float32
    taken = _take_array(open_values, spacing)
    missing = _series(mask)
    volume = replace(taken.volume, array=np.where(missing, np.float32(np.nan), taken.volume.array))

    def give_back(array: np.ndarray) -> np.ma.MaskedArray[Any, Any]:
        result = cast("np.ndarray", taken.give_back(np.where(missing, np.float32(0), array)))
        result[mask] = plain[mask]
        kept = image.mask if image.mask is np.ma.nomask else mask.copy()
        return np.ma.MaskedArray(result, mask=kept, fill_value=image.fill_value, hard_mask=image.hardmask)

    return Taken(volume=volume, give_back=give_back)


def _affine_of(spacing: Sequence[float] | None, dimensions: int) -> np.ndarray:
    """The affine of an array, 4 x 4.

    Raises:
        InputError: if the edges of its voxels are not two or three lengths, three of a volume.
    """
    try:
        if isinstance(spacing, str):
            raise TypeError
        sizes = (1.0, 1.0, 1.0) if spacing is None else tuple(float(edge) for edge in spacing)
    except (TypeError, ValueError):
        sizes = ()
    if len(sizes) not in (2, 3) or not all(0 < edge < np.inf for edge in sizes):
        raise InputError(f"spacing {printable(str(spacing))}: must be two or three lengths in mm, above 0.")
    if len(sizes) < min(dimensions, 3):  # which axis is the one across slices would be a guess
        raise InputError(f"spacing {printable(str(spacing))}: a volume needs three lengths in mm, one for each axis.")
    return np.diag([*sizes, *[1.0] * (4 - len(sizes))])


def _series(array: np.ndarray) -> np.ndarray:
    """A view of shape (T, X, Y, Z) on an array of shape (X, Y), (X, Y, Z) or (X, Y, Z, T)."""
    return np.moveaxis(array.reshape(*array.shape, *[1] * (4 - array.ndim)), 3, 0)


def _back(array: np.ndarray, stored: np.ndarray, like: np.ndarray) -> np.ndarray:
    """The result (T, X, Y, Z) of a view that :func:`_series` gave, in the shape of its array."""
    return np.moveaxis(_stored(array, stored), 0, 3).reshape(like.shape)


def _take_nibabel(image: nib.spatialimages.SpatialImage) -> Taken:
    shape = image.shape
    if not 2 <= len(shape) <= 4 or 0 in shape:
        raise InputError(f"image of shape {shape}: must have three dimensions, or four for a series.")
    plain = np.asarray(image.dataobj)
    stored = _series(plain)
    affine = np.array(image.affine, dtype=np.float64)
    if not spans_space(affine):
        zooms = [abs(float(zoom)) for zoom in image.header.get_zooms()[:3]]
        affine = np.diag([*zooms, *[1.0] * (4 - len(zooms))])
    volume = Volume(array=_values(stored), affine=affine if spans_space(affine) else np.eye(4))

    def give_back(array: np.ndarray) -> nib.spatialimages.SpatialImage:
        values = _back(array, stored, plain)
        return type(image)(values, image.affine, image.header.copy(), extra=dict(image.extra))

    return Taken(volume=volume, give_back=give_back)


def _take_sitk(image: sitk.Image) -> Taken:
    import SimpleITK as sitk

    dimensions = image.GetDimension()
    if image.GetNumberOfComponentsPerPixel() != 1 or not 2 <= dimensions <= 4:
        raise InputError("image: must have one number a voxel, and two to four dimensions.")
    plain = sitk.GetArrayFromImage(image)  # (T, Z, Y, X)
    stored = plain.reshape(*[1] * (4 - dimensions), *plain.shape).transpose(0, 3, 2, 1)
    affine = np.eye(4)
    space = min(dimensions, 3)
    direction = np.reshape(image.GetDirection(), (dimensions, dimensions))[:space, :space]
    affine[:space, :space] = direction * np.array(image.GetSpacing()[:space])
    affine[:space, 3] = image.GetOrigin()[:space]
    affine = _LPS @ affine
    if not spans_space(affine):  # a series whose time is turned into space
        affine = np.eye(4)
    volume = Volume(array=_values(stored), affine=affine, picture=dimensions == 2)

    def give_back(array: np.ndarray) -> sitk.Image:
        values = _stored(array, stored).transpose(0, 3, 2, 1).reshape(plain.shape)
        result = sitk.GetImageFromArray(values, isVector=False)  # of four dimensions it would guess a vector
        result.CopyInformation(image)
        for key in image.GetMetaDataKeys():
            result.SetMetaData(key, image.GetMetaData(key))
        return result

    return Taken(volume=volume, give_back=give_back)


def _take_tensor(image: object) -> Taken:
    import torch
    from monai.data import MetaTensor

    assert isinstance(image, torch.Tensor)
    if image.ndim not in (3, 4) or 0 in image.shape:
        raise InputError(f"tensor of shape {tuple(image.shape)}: must be (C, X, Y) or (C, X, Y, Z), channel first.")
    if getattr(image, "is_batch", False):
        raise InputError(
            f"MetaTensor of shape {tuple(image.shape)}, a batch: take it apart by monai.data.decollate_batch."
        )
    if image.layout is not torch.strided or image.is_quantized or image.is_meta:
        raise InputError("tensor that is sparse, quantized or without data: must be dense and hold its numbers.")
    plain = image.detach().as_subclass(torch.Tensor).cpu().resolve_conj().resolve_neg()
    if plain.is_floating_point() and plain.dtype not in (torch.float16, torch.float32, torch.float64):
        plain = plain.float()  # NumPy knows no bfloat16
    stored = (plain if image.ndim == 4 else plain[..., None]).numpy()
    affine = np.asarray(image.affine, dtype=np.float64) if isinstance(image, MetaTensor) else np.eye(4)
    if affine.shape != (4, 4) or not spans_space(affine):
        affine = np.eye(4)
    volume = Volume(array=_values(stored), affine=affine, picture=image.ndim == 3)

    def give_back(array: np.ndarray) -> torch.Tensor:
        values = torch.from_numpy(_stored(array, stored).reshape(tuple(image.shape)))
        if values.dtype != image.dtype:
            ends = torch.finfo(image.dtype)
            values = torch.where(values.isfinite(), values.clamp(ends.min, ends.max), values).to(image.dtype)
        result = values.to(image.device)
        if not isinstance(image, MetaTensor):
            return result
        image_again = MetaTensor(result, meta=dict(image.meta), applied_operations=list(image.applied_operations))
        for operation in image.pending_operations:  # of lazy transforms: still to be done
            image_again.push_pending_operation(operation)
        return image_again

    return Taken(volume=volume, give_back=give_back)


def _values(stored: np.ndarray) -> np.ndarray:
    """Numbers of shape (T, X, Y, Z) as float32; of float32 the same memory.

    Raises:
        InputError: for truth values, complex numbers, colours and text, and values beyond the range of float32.
    """
    if stored.dtype.kind not in "iuf":
        raise InputError(f"image of type {stored.dtype}: must hold real numbers; of complex data give the magnitude.")
    if stored.dtype == np.float32:
        return np.ascontiguousarray(stored)
    values = np.empty(stored.shape, dtype=np.float32)
    try:
        for part in _parts(stored.shape):
            values[part] = to_values(stored[part], 1, 0)
    except OverflowError as error:
        raise InputError(f"image of type {stored.dtype}: {error}; rescale it.") from None
    if vanishes(stored, values):
        raise InputError(f"image of type {stored.dtype}: values below the range of float32; rescale it.")
    return values


def _stored(array: np.ndarray, stored: np.ndarray) -> np.ndarray:
    """A result in the type of the image, of shape (T, X, Y, Z): a number whose value did not change is kept.

    Args:
        array: float32, finite where the image is.
        stored: the image's numbers. Integers are rounded to the nearest, and all clipped to the range of their type.

    Raises:
        InputError: if the result is not finite where the image is.
    """
    result = np.empty(stored.shape, dtype=stored.dtype)
    try:
        for part in _parts(stored.shape):
            result[part] = to_stored(array[part], stored[part], 1, 0)
    except ValueError as error:
        raise InputError(f"image of type {stored.dtype}: {error}; rescale it.") from None
    return result


def _parts(shape: tuple[int, ...]) -> Iterator[tuple[int, slice]]:
    """Planes of one volume after another."""
    step = max(_PLANES // max(math.prod(shape[2:]), 1), 1)
    for volume in range(shape[0]):
        for start in range(0, shape[1], step):
            yield volume, slice(start, start + step)
