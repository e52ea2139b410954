"""One call for an image in memory or on disk: NumPy, nibabel, SimpleITK, MONAI or a path in, the same kind out."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

import numpy as np

from mri_denoise.denoiser import Denoiser
from mri_denoise.errors import InputError
from mri_denoise.settings import DEFAULTS, Planes, Settings, Sigma
from mri_denoise.volume import Volume

if TYPE_CHECKING:
    import nibabel as nib
    import SimpleITK as sitk

Image = TypeVar("Image")
_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])  # SimpleITK's world to RAS+
_MODELS = 4


def denoise(
    image: Image,
    *,
    output: str | os.PathLike[str] | None = None,
    spacing: Sequence[float] | None = None,
    model: str = "rician",
    sigma: Sigma | str | float | os.PathLike[str] = DEFAULTS.sigma,
    strength: float = DEFAULTS.strength,
    planes: Planes = DEFAULTS.planes,
    device: str = DEFAULTS.device,
) -> Image:
    """Denoise an image and give back the same kind of object, with its header and its type.

    Args:
        image: one of these, or a list of them:

            - a NumPy array of real numbers, shape (X, Y), (X, Y, Z) or, for a series, (X, Y, Z, T);
            - a nibabel image, of three or four dimensions;
            - a SimpleITK image, of two to four dimensions, one number a voxel;
            - a MONAI MetaTensor or a torch tensor, channel first: (C, X, Y) or (C, X, Y, Z), each channel by itself;
            - the path of a file, or of a folder with one DICOM series: the result is written to ``output`` with the
              source's header, and its path is returned.
        output: where the result of a path goes: a file, or for DICOM a folder. Needed for paths alone.
        spacing: edges of a voxel in mm, for arrays, which do not know them: the axis of the largest is the one across
            slices. By default voxels are cubes.
        model: ``"rician"``, ``"salt-pepper"`` or the folder of a bundle. It is loaded once a process.
        sigma: ``"auto"``, ``"map"``, a number in the image's unit, or the path of a map.
        strength: from 0, which gives the input back, to 1, the full result.
        planes: slices along 1 plane, or along 3 and averaged; ``"auto"`` is 3 where voxels are nearly isotropic.
        device: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.

    Returns:
        the result. Integers are rounded and clipped to their type; NaN and infinity stay where they were. For a list,
        the list of the results.

    Raises:
        InputError: if the image is of another kind or shape, or a choice is out of its range.

    Examples:
        >>> noisy = np.random.default_rng(0).rayleigh(20, (32, 32, 8)).astype(np.int16)
        >>> result = denoise(noisy, spacing=(1, 1, 4), sigma=20)
        >>> result.shape, result.dtype
        ((32, 32, 8), dtype('int16'))
    """
    if isinstance(image, list | tuple):
        if output is not None:
            raise InputError("output: names one result; denoise the paths of a list one by one.")
        each = [
            denoise(one, spacing=spacing, model=model, sigma=sigma, strength=strength, planes=planes, device=device)
            for one in image
        ]
        return cast(Image, each)
    settings = Settings(sigma=Sigma.parse(sigma), strength=strength, planes=planes, device=device)
    if isinstance(image, str | os.PathLike):
        return cast(Image, _denoise_path(Path(image), output, _load(model, device), settings))
    taken = _take(image, spacing)
    result = _load(model, device)(taken.volume, sigma=settings.sigma, strength=strength, planes=planes)
    return cast(Image, taken.give_back(result.array))


@lru_cache(maxsize=_MODELS)
def _load(model: str, device: str) -> Denoiser:
    """Each model once a process."""
    return Denoiser.load(model, device=device)


@dataclass(frozen=True, kw_only=True)
class _Taken:
    """An image as a volume, and the way back.

    Args:
        volume: its pixels with their geometry.
        give_back: makes an object of the image's kind from float32 (T, X, Y, Z).
    """

    volume: Volume
    give_back: Callable[[np.ndarray], object]


def _take(image: object, spacing: Sequence[float] | None) -> _Taken:
    """The image as a volume.

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


def _take_array(image: np.ndarray, spacing: Sequence[float] | None) -> _Taken:
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

    return _Taken(volume=volume, give_back=give_back)


def _take_nibabel(image: nib.spatialimages.SpatialImage) -> _Taken:
    shape = image.shape
    if not 2 <= len(shape) <= 4 or 0 in shape:
        raise InputError(f"image of shape {shape}: must have three dimensions, or four for a series.")
    stored = np.asanyarray(image.dataobj)
    series = stored.reshape(*shape, *[1] * (4 - len(shape)))
    volume = Volume(array=_as_float(np.moveaxis(series, 3, 0)), affine=np.array(image.affine, dtype=np.float64))

    def give_back(array: np.ndarray) -> nib.spatialimages.SpatialImage:
        values = as_type(np.moveaxis(array, 0, 3), stored.dtype).reshape(shape)
        return type(image)(values, image.affine, image.header.copy(), extra=dict(image.extra))

    return _Taken(volume=volume, give_back=give_back)


def _take_sitk(image: sitk.Image) -> _Taken:
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

    return _Taken(volume=volume, give_back=give_back)


def _take_tensor(image: object) -> _Taken:
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

    return _Taken(volume=volume, give_back=give_back)


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


def _denoise_path(source: Path, output: str | os.PathLike[str] | None, denoiser: Denoiser, settings: Settings) -> Path:
    """Denoise a file or a DICOM series to a file or a folder.

    Raises:
        InputError: if the path does not hold one image, or there is no output.
    """
    from dataclasses import replace

    from mri_denoise.io import discover
    from mri_denoise.pipeline.stream import denoise_case

    if output is None:
        raise InputError(f"{source}: needs output, the file or for DICOM the folder of its result.")
    cases, skips = discover(source)
    if len(cases) != 1:
        reason = skips[0].reason if skips else f"holds {len(cases)} images; denoise them one by one"
        raise InputError(f"{source}: {reason}.")
    target = Path(output)
    denoise_case(denoiser, replace(cases[0], output=Path(target.name)), target.parent, settings)
    return target
