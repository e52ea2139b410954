"""Images in memory as volumes and back: NumPy, nibabel, SimpleITK, MONAI."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np

from mri_denoise.errors import InputError
from mri_denoise.volume import Volume, spans_space

if TYPE_CHECKING:
    import nibabel as nib
    import SimpleITK as sitk

_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])  # SimpleITK's world to RAS+


@dataclass(frozen=True, kw_only=True)
class Taken:
    """An image as a volume, and the way back.

    Args:
        volume: its pixels with their geometry.
        give_back: makes an object of the image's kind from float32 (T, X, Y, Z).
    """

    volume: Volume
    give_back: Callable[[np.ndarray], object]


def take(image: object, spacing: Sequence[float] | None) -> Taken:
    """The image as a volume.

    Args:
        image: an array, a nibabel or SimpleITK image, or a tensor, as for :func:`mri_denoise.images.denoise`.
        spacing: edges of a voxel in mm, for arrays; cubes by default.

    Raises:
        InputError: if nobody knows how to take it.
    """
    library = type(image).__module__.partition(".")[0]
    bases = {base.__module__.partition(".")[0] for base in type(image).__mro__}
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
    sizes = tuple(float(edge) for edge in spacing) if spacing is not None else (1.0, 1.0, 1.0)
    if len(sizes) not in (2, 3) or not all(0 < edge < np.inf for edge in sizes):
        raise InputError(f"spacing {spacing}: must be two or three lengths in mm, above 0.")
    affine = np.diag([*sizes, *[1.0] * (4 - len(sizes))])
    series = image.reshape(*image.shape, *[1] * (4 - image.ndim))
    white = 255.0 if image.dtype == np.uint8 and image.ndim == 2 else None
    volume = Volume(
        array=_as_float(np.moveaxis(series, 3, 0)), affine=affine, white_level=white, picture=image.ndim == 2
    )

    def give_back(array: np.ndarray) -> np.ndarray:
        return as_type(np.moveaxis(array, 0, 3), image.dtype).reshape(image.shape)

    return Taken(volume=volume, give_back=give_back)


def _take_nibabel(image: nib.spatialimages.SpatialImage) -> Taken:
    shape = image.shape
    if not 2 <= len(shape) <= 4 or 0 in shape:
        raise InputError(f"image of shape {shape}: must have three dimensions, or four for a series.")
    stored = np.asanyarray(image.dataobj)
    series = stored.reshape(*shape, *[1] * (4 - len(shape)))
    affine = np.array(image.affine, dtype=np.float64)
    if not spans_space(affine):
        zooms = [abs(float(zoom)) for zoom in image.header.get_zooms()[:3]]
        affine = np.diag([*zooms, *[1.0] * (4 - len(zooms))])
    volume = Volume(array=_as_float(np.moveaxis(series, 3, 0)), affine=affine if spans_space(affine) else np.eye(4))

    def give_back(array: np.ndarray) -> nib.spatialimages.SpatialImage:
        values = as_type(np.moveaxis(array, 0, 3), stored.dtype).reshape(shape)
        return type(image)(values, image.affine, image.header.copy(), extra=dict(image.extra))

    return Taken(volume=volume, give_back=give_back)


def _take_sitk(image: sitk.Image) -> Taken:
    import SimpleITK as sitk

    dimensions = image.GetDimension()
    if image.GetNumberOfComponentsPerPixel() != 1 or not 2 <= dimensions <= 4:
        raise InputError("image: must have one number a voxel, and two to four dimensions.")
    stored = sitk.GetArrayFromImage(image)  # (T, Z, Y, X)
    series = stored.reshape(*[1] * (4 - dimensions), *stored.shape)
    affine = np.eye(4)
    space = min(dimensions, 3)
    direction = np.reshape(image.GetDirection(), (dimensions, dimensions))[:space, :space]
    affine[:space, :space] = direction * np.array(image.GetSpacing()[:space])
    affine[:space, 3] = image.GetOrigin()[:space]
    volume = Volume(array=_as_float(series.transpose(0, 3, 2, 1)), affine=_LPS @ affine, picture=dimensions == 2)

    def give_back(array: np.ndarray) -> sitk.Image:
        values = as_type(array.transpose(0, 3, 2, 1), stored.dtype).reshape(stored.shape)
        result = sitk.GetImageFromArray(values)
        result.CopyInformation(image)
        for key in image.GetMetaDataKeys():
            result.SetMetaData(key, image.GetMetaData(key))
        return result

    return Taken(volume=volume, give_back=give_back)


def _take_tensor(image: object) -> Taken:
    import torch
    from monai.data import MetaTensor

    assert isinstance(image, torch.Tensor)
    if image.ndim not in (3, 4) or 0 in image.shape or image.is_complex():
        raise InputError(f"tensor of shape {tuple(image.shape)}: must be (C, X, Y) or (C, X, Y, Z), channel first.")
    plain = image.detach().as_subclass(torch.Tensor).cpu()
    series = plain if image.ndim == 4 else plain[..., None]
    affine = np.asarray(image.affine, dtype=np.float64) if isinstance(image, MetaTensor) else np.eye(4)
    if affine.shape != (4, 4):
        affine = np.eye(4)
    volume = Volume(array=_as_float(series.numpy()), affine=affine, picture=image.ndim == 3)

    def give_back(array: np.ndarray) -> torch.Tensor:
        values = as_type(array, series.numpy().dtype).reshape(tuple(image.shape))
        result = torch.from_numpy(np.ascontiguousarray(values)).to(image.device)
        return MetaTensor(result, meta=dict(image.meta)) if isinstance(image, MetaTensor) else result

    return Taken(volume=volume, give_back=give_back)


def _as_float(array: np.ndarray) -> np.ndarray:
    """Real numbers as float32.

    Raises:
        InputError: for truth values, complex numbers, colours and text.
    """
    if array.dtype.kind not in "iuf":
        raise InputError(f"image of type {array.dtype}: must hold real numbers; of complex data give the magnitude.")
    return np.ascontiguousarray(array, dtype=np.float32)


def as_type(array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Values in the type of the input: integers are rounded to the nearest and clipped to the range of their type.

    Args:
        array: float32, finite where ``dtype`` holds integers.
        dtype: integers or floats.
    """
    if dtype.kind == "f":
        return array.astype(dtype)
    limits = np.iinfo(dtype)
    return np.clip(np.rint(array.astype(np.float64)), limits.min, limits.max).astype(dtype)
