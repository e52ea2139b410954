"""One call for an image in memory or on disk: NumPy, nibabel, SimpleITK, MONAI or a path in, the same kind out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

from mri_denoise.errors import InputError
from mri_denoise.in_memory import take
from mri_denoise.loaded import load
from mri_denoise.noise.model import NoiseModel
from mri_denoise.noise.series import find_series_noise
from mri_denoise.settings import DEFAULTS, Quality, Settings, Sigma
from mri_denoise.volume import Volume, slice_axis_of

if TYPE_CHECKING:
    from mri_denoise.denoiser import Denoiser
    from mri_denoise.io.case import Case

Image = TypeVar("Image")


def denoise(
    image: Image,
    *,
    output: str | os.PathLike[str] | None = None,
    spacing: Sequence[float] | None = None,
    model: str = "rician",
    sigma: Sigma | str | float | os.PathLike[str] | np.ndarray = DEFAULTS.sigma,
    strength: float = DEFAULTS.strength,
    quality: Quality = DEFAULTS.quality,
    guard: bool = DEFAULTS.guard,
    tta: bool = DEFAULTS.tta,
    device: str = DEFAULTS.device,
    trust: bool = False,
) -> Image:
    """Denoise an image and give back the same kind of object, with its header and its type.

    Args:
        image: one of these, or a list of them:

            - a NumPy array of real numbers, shape (X, Y), (X, Y, Z) or, for a series, (X, Y, Z, T); what is masked in
              a masked array counts as NaN and stays as it is;
            - a nibabel image, of three or four dimensions;
            - a SimpleITK image, of two to four dimensions, one number a voxel;
            - a MONAI MetaTensor or a torch tensor, channel first: (C, X, Y) or (C, X, Y, Z), each channel by itself;
            - the path of a file, or of a folder with one DICOM series: the result is written to ``output`` with the
              source's header, and its path is returned.
        output: where the result of a path goes: a file, or for DICOM a folder. For paths, and no other image.
        spacing: edges of a voxel in mm, for NumPy arrays, and no other image: the axis of the largest is the one across
            slices. By default voxels are cubes.
        model: ``"rician"``, ``"salt-pepper"`` or the folder of a bundle. It is loaded once a process, and again when
            its files change.
        sigma: ``"auto"``, ``"map"``, a number in the image's unit, or the path of a map. For an image in memory also a
            map as a NumPy array, (X, Y) or (X, Y, Z) for all volumes of a series and all channels of a tensor, or
            (X, Y, Z, T) with one for each of them.
        strength: from 0, which gives the input back, to 1, the full result.
        quality: ``"fast"``, ``"balanced"`` or ``"best"`` (:class:`~mri_denoise.settings.Settings`).
        guard: whether what was removed and noise does not explain comes back.
        tta: whether the results of all mirror images are averaged, which takes four times as long; for a path
            the map of the uncertainty is written beside the result.
        device: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
        trust: whether a bundle runs that is neither shipped nor trained here: its configs are code.

    Returns:
        the result. Integers are rounded and clipped to their type; NaN and infinity stay where they were. Voxels are
        computed in float32; those whose float32 value did not change keep their own number, in any type. For a list,
        the list of the results.

    Raises:
        InputError: if the image is of another kind or shape, or holds values beyond the range of float32, a choice is
            of another type, out of its range or not for such an image, or the bundle is not trusted.

    Examples:
        >>> import numpy as np
        >>> noisy = np.random.default_rng(0).rayleigh(20, (32, 32, 8)).astype(np.int16)
        >>> result = denoise(noisy, spacing=(1, 1, 4), sigma=20)
        >>> result.shape, result.dtype
        ((32, 32, 8), dtype('int16'))
    """
    if isinstance(image, list | tuple):
        if output is not None:
            raise InputError("output: names one result; denoise the paths of a list one by one.")
        each = [
            denoise(
                one,
                spacing=spacing,
                model=model,
                sigma=sigma,
                strength=strength,
                quality=quality,
                guard=guard,
                tta=tta,
                device=device,
                trust=trust,
            )
            for one in image
        ]
        return cast(Image, each)
    _check_spacing(image, spacing)
    if isinstance(sigma, np.ndarray) and sigma.size == 1:
        from mri_denoise.bundles.item import only_number

        sigma = only_number(sigma)
    settings = Settings(
        sigma=DEFAULTS.sigma if isinstance(sigma, np.ndarray) else Sigma.parse(sigma),
        strength=strength,
        quality=quality,
        guard=guard,
        tta=tta,
        extras=("uncertainty",) if tta else (),
        device=device,
        overwrite=True,
    )
    if isinstance(image, str | os.PathLike):
        if isinstance(sigma, np.ndarray):
            raise InputError("sigma: an array goes with an image in memory; save the map and give its path.")
        return cast(Image, _denoise_path(Path(image), output, load(model, device, trust), settings))
    if output is not None:
        raise InputError("output: is for the path of a file; an image in memory is given back, leave output out.")
    taken = take(image, spacing)
    level = _volumes_first(sigma) if isinstance(sigma, np.ndarray) else settings.sigma
    denoiser = load(model, device, trust)
    result = denoiser(taken.volume, sigma=level, strength=strength, quality=quality, guard=guard, tta=tta)
    return cast(Image, taken.give_back(result.array))


def estimate_noise(image: object, *, spacing: Sequence[float] | None = None) -> NoiseModel | list[Any]:
    """Find the noise of an image: its level, its floor and its correlation, with the confidence in each.

    Args:
        image: magnitudes, as for :func:`denoise`: an array, a nibabel or SimpleITK image, a tensor, a path, or a list
            of them.
        spacing: as for :func:`denoise`.

    Returns:
        the model, with ``level`` and ``sigma`` in the unit of the image; its axes are those of the array (nibabel), or
        (X, Y, Z) for SimpleITK. For a series the list of its volumes' models; for a list of images what each gives.

    Raises:
        InputError: if the image cannot be read, is of another kind or shape, or beyond the range of float32, or knows
            the edges of its voxels itself.

    Examples:
        >>> import numpy as np
        >>> noisy = np.random.default_rng(0).rayleigh(20, (64, 64, 8)).astype(np.float32)
        >>> round(estimate_noise(noisy).level)
        20
    """
    from mri_denoise.host import new_tensors_on_cpu

    if isinstance(image, list | tuple):
        return [estimate_noise(one, spacing=spacing) for one in image]
    _check_spacing(image, spacing)
    volume = _read(Path(image)) if isinstance(image, str | os.PathLike) else take(image, spacing).volume
    with new_tensors_on_cpu():
        models = list(find_series_noise(volume.array, slice_axis=slice_axis_of(volume)))
    return models[0] if len(models) == 1 else models


def _check_spacing(image: object, spacing: object) -> None:
    """Refuse edges of voxels for an image that would not take them.

    Raises:
        InputError: if there are some.
    """
    if spacing is not None and not isinstance(image, np.ndarray):
        raise InputError("spacing: is for NumPy arrays; files and other images know their own, leave spacing out.")


def _volumes_first(noise_map: np.ndarray) -> np.ndarray:
    """A map (X, Y), (X, Y, Z) or (X, Y, Z, T) in the order of a volume: (X, Y, Z) or (T, X, Y, Z)."""
    return np.moveaxis(noise_map, -1, 0) if noise_map.ndim == 4 else np.atleast_3d(noise_map)


def _denoise_path(source: Path, output: str | os.PathLike[str] | None, denoiser: Denoiser, settings: Settings) -> Path:
    """Denoise a file or a DICOM series to a file or a folder.

    Raises:
        InputError: if the path does not hold one image, or there is no output, or one that asks for another format.
    """
    from dataclasses import replace

    from mri_denoise.io.sniff import asks_for_another_format, named_like_image
    from mri_denoise.pipeline.stream import denoise_case

    if not isinstance(output, str | os.PathLike | None):
        raise InputError(f"output of type {type(output).__name__}: must be the path of a file or a folder.")
    if output is None:
        raise InputError(f"{source}: needs output, the file or for DICOM the folder of its result.")
    target, case = Path(output), _only_case(source)
    if case.writes_folder and named_like_image(target) and not target.is_dir():
        raise InputError(f"{target}: is the name of a file, but a DICOM series needs a folder.")
    if not case.writes_folder and target.is_dir():
        raise InputError(f"{target}: is a folder; name the file of the result.")
    if (named_like_image(target) or not case.picture) and (
        refusal := asks_for_another_format(case.sources[0], target, picture=case.picture)
    ):
        raise InputError(f"{refusal}.")
    denoise_case(denoiser, replace(case, output=Path(target.name)), target.parent, settings)
    return target


def _read(source: Path) -> Volume:
    """The volume of a file or of a DICOM series.

    Raises:
        InputError: if the path does not hold one image, or it cannot be read.
    """
    from mri_denoise.io import read

    return read(_only_case(source))


def _only_case(source: Path) -> Case:
    """The one case that a path holds.

    Raises:
        InputError: if it holds none or several.
    """
    from mri_denoise.io import discover

    cases, skips = discover(source)
    if len(cases) != 1:
        reason = skips[0].reason if skips else f"holds {len(cases)} images; give them one by one"
        raise InputError(f"{source}: {reason}.")
    return cases[0]
