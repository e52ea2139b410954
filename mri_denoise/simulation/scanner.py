"""Simulate an MRI scanner: coils, k-space, reconstruction and post-processing. The truth comes beside each image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import nibabel as nib
import numpy as np

from mri_denoise.noise.correlation import MAX_LAG
from mri_denoise.simulation.scanner_acquisition import Acquired, acquire
from mri_denoise.simulation.scanner_choice import random_parameters
from mri_denoise.simulation.scanner_coils import Channels, receive_channels
from mri_denoise.simulation.scanner_kspace import Transfer, acquired_shape
from mri_denoise.simulation.scanner_noise import floor_moments, power
from mri_denoise.simulation.scanner_parameters import ScannerParameters
from mri_denoise.simulation.scanner_postprocess import air_factor, find_head, receive_profile, round_to_integers
from mri_denoise.volume import Volume, slice_axis_of, voxel_sizes


@dataclass(frozen=True, kw_only=True)
class Scan:
    """A simulated image with its truth and its noise. Maps are float32 of shape (X, Y, Z).

    Args:
        image: magnitude image with noise.
        truth: the noise-free image through the same reconstruction and post-processing.
        sigma: standard deviation of the noise in the real part of the combined image. For the root of the sum of
            squares it is the standard deviation of the channels along the signal, which is that of the image where the
            signal is strong. Rounding is not part of it.
        floor_mean: mean of the image where the signal is zero.
        floor_std: standard deviation of the image where the signal is zero.
        correlation: of the noise at lags 0 to :data:`~mri_denoise.noise.correlation.MAX_LAG` along the three axes,
            shape (3, ``MAX_LAG`` + 1).
        parameters: of the scanner.
    """

    image: np.ndarray
    truth: np.ndarray
    sigma: np.ndarray
    floor_mean: np.ndarray
    floor_std: np.ndarray
    correlation: np.ndarray
    parameters: ScannerParameters


def scan(
    truth: np.ndarray,
    voxel: Sequence[float],
    parameters: ScannerParameters,
    rng: np.random.Generator,
    *,
    slice_axis: int = 2,
    bore_axis: int = 2,
) -> Scan:
    """Scan an object.

    Coils weight the image, each slice goes through k-space with its noise, and the reconstruction makes one magnitude
    image of the channels. The noise is propagated analytically beside it.

    Args:
        truth: noise-free image, shape (X, Y, Z); negative and non-finite values count as 0.
        voxel: edges of the voxels in mm.
        parameters: of the scanner.
        rng: source of the noise.
        slice_axis: the axis across the slices.
        bore_axis: the axis along the magnet, from the feet to the head.

    Returns:
        The image with its truth, in the units and the shape of ``truth``.

    Raises:
        InputError: for parameters out of range, by :class:`ScannerParameters`.

    Examples:
        >>> import numpy as np
        >>> from mri_denoise.simulation import head_phantom
        >>> found = scan(head_phantom((32, 40, 32)), (6, 6, 6), ScannerParameters(), np.random.default_rng(0))
        >>> found.image.shape, bool(found.sigma.min() > 0)
        ((32, 40, 32), True)
    """
    in_plane = [axis for axis in range(3) if axis != slice_axis]
    order = (slice_axis, in_plane[1 - parameters.phase_axis], in_plane[parameters.phase_axis])
    clean = np.nan_to_num(np.asarray(truth, dtype=np.float32), posinf=0, neginf=0).clip(0)
    clean = np.ascontiguousarray(clean.transpose(order))
    shape = acquired_shape(clean.shape, parameters.acceleration)
    pads = [((m - n) // 2, (m - n) - (m - n) // 2) for m, n in zip(shape, clean.shape, strict=True)]
    inner = tuple(slice(low, low + n) for (low, _), n in zip(pads, clean.shape, strict=True))
    edges = (float(voxel[order[0]]), float(voxel[order[1]]), float(voxel[order[2]]))
    padded = np.pad(clean, pads)
    channels = receive_channels(padded, edges, order.index(bore_axis), parameters)
    transfer = Transfer.of(shape, parameters)
    sums = acquire(padded, edges[0], channels, transfer, parameters, rng)
    profile = np.ones_like(padded)
    if parameters.normalisation > 0:
        profile = receive_profile(_sum_of_squares(channels, len(padded)), parameters.normalisation)
    level = parameters.level * (float(clean.max(initial=0)) or 1.0)
    return _finish(sums, profile, inner, order, transfer, parameters, level)


def scan_volume(volume: Volume, parameters: ScannerParameters, rng: np.random.Generator) -> list[Scan]:
    """Scan a volume, or all volumes of a series with the same scanner.

    Args:
        volume: noise-free. Voxel sizes, slice axis and the axis of the bore come from its geometry.
        parameters: of the scanner.
        rng: source of the noise.

    Returns:
        A scan of each of the T volumes.
    """
    axes = nib.orientations.io_orientation(volume.affine)[:, 0]
    from_feet_to_head = np.flatnonzero(axes == 2)
    bore = int(from_feet_to_head[0]) if from_feet_to_head.size else 2
    voxel, across = voxel_sizes(volume.affine).tolist(), slice_axis_of(volume)
    return [scan(array, voxel, parameters, rng, slice_axis=across, bore_axis=bore) for array in volume.array]


def random_scanners(volumes: Sequence[Volume], count: int = 200, seed: int = 0) -> Iterator[Scan]:
    """Scan volumes with random scanners, taking the volumes in turn.

    Args:
        volumes: noise-free, shape (1, X, Y, Z); of a series, the first one is taken.
        count: number of scans.
        seed: of the choices and of the noise; scan ``i`` does not depend on ``count``.

    Yields:
        One scan at a time.
    """
    for index in range(count):
        rng = np.random.default_rng([seed, index])
        volume = volumes[index % len(volumes)]
        yield scan_volume(replace(volume, array=volume.array[:1]), random_parameters(rng), rng)[0]


def _sum_of_squares(channels: Channels, slices: int) -> np.ndarray:
    """Return the root of the sum of squared sensitivities, (Z, H, W)."""
    planes = (channels.sensitivities.slice(z) for z in range(slices))
    return np.stack([np.sqrt(power(plane)) for plane in planes])


def _finish(
    sums: Acquired,
    profile: np.ndarray,
    inner: tuple[slice, ...],
    order: tuple[int, int, int],
    transfer: Transfer,
    parameters: ScannerParameters,
    level: float,
) -> Scan:
    """Scale the noise to its level, post-process, and restore the order of the axes."""
    factor = profile[inner]
    truth = np.sqrt(sums.signal[inner]) * factor
    sigma = np.sqrt(sums.along[inner]) * factor
    mean, std = floor_moments(sums.total[inner], sums.count[inner])
    head = find_head(truth)
    peak = float(truth.max(initial=0))
    usual = float(np.median(sigma[head])) if head.any() else 1.0
    scale = np.float32(level / max(usual, 1e-30))
    squares = sums.signal[inner] + scale * sums.cross[inner] + scale**2 * sums.noise[inner]
    covers = air_factor(truth, parameters.air)
    factor = factor * covers
    image = np.sqrt(np.maximum(squares, 0)) * factor
    image = round_to_integers(image, peak, parameters.grey_levels)
    back = np.argsort(order)
    fields = {
        "image": image,
        "truth": truth * covers,
        "sigma": sigma * scale * covers,
        "floor_mean": mean * scale * factor,
        "floor_std": std * scale * factor,
    }
    ordered = {k: np.ascontiguousarray(v.transpose(back), dtype=np.float32) for k, v in fields.items()}
    rows = transfer.correlation(MAX_LAG)[back]
    return Scan(**ordered, correlation=rows, parameters=parameters)
