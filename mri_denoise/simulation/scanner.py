"""A scanner to test against: an image through coils, k-space, reconstruction and post-processing, with the truth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln

from mri_denoise.noise.correlation import REACH
from mri_denoise.simulation.scanner_coils import Channels, receive_channels
from mri_denoise.simulation.scanner_kspace import Transfer, acquired_shape
from mri_denoise.simulation.scanner_parameters import ScannerParameters, random_parameters
from mri_denoise.simulation.scanner_postprocess import air_factor, find_head, receive_profile, round_to_integers
from mri_denoise.simulation.scanner_reconstruction import (
    Combination,
    Combined,
    Even,
    Grappa,
    Matched,
    Reconstruction,
    Sense,
    fold,
    reference_prior,
    unfold,
    walsh_directions,
)


@dataclass(frozen=True, kw_only=True)
class Scan:
    """A simulated image and all that is known about it. Arrays have the shape (X, Y, Z) and are float32.

    Args:
        image: magnitudes with noise.
        truth: the noise-free image through the same reconstruction and post-processing.
        sigma: standard deviation of the noise in the real part of the combined image; for the root of the sum of
            squares, that of the channels along the signal, which is the standard deviation where the signal is strong.
        floor_mean: mean that zero signal gives at each voxel.
        floor_std: its standard deviation.
        correlation: of the noise at lags 0 to :data:`~mri_denoise.noise.correlation.REACH` along the three axes, shape
            (3, ``REACH`` + 1).
        parameters: of the scanner.
    """

    image: np.ndarray
    truth: np.ndarray
    sigma: np.ndarray
    floor_mean: np.ndarray
    floor_std: np.ndarray
    correlation: np.ndarray
    parameters: ScannerParameters


@dataclass(kw_only=True)
class _Sums:
    """Sums over the channels of a result, per voxel (Z, H, W): powers of signal and noise, and their variances.

    ``signal`` is |s|^2, ``cross`` 2 Re(s* n), ``noise`` |n|^2, for noise of unit level; so an image with noise of
    standard deviation t is sqrt(signal + t cross + t^2 noise). ``along`` is the noise variance along the signal,
    ``total`` the sum of the channels' variances, ``count`` the number of independent channels that they amount to.
    """

    signal: np.ndarray
    cross: np.ndarray
    noise: np.ndarray
    along: np.ndarray
    total: np.ndarray
    count: np.ndarray


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

    Args:
        truth: noise-free image, shape (X, Y, Z); what is negative or not finite counts as 0.
        voxel: edges of the voxels in mm.
        parameters: of the scanner.
        rng: source of the noise.
        slice_axis: the axis across the slices.
        bore_axis: the axis along the magnet, from the feet to the head.

    Returns:
        The image with its truth, in the units and the shape of ``truth``.

    Raises:
        InputError: for parameters out of range, by :class:`ScannerParameters`.

    Example:
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
    shape = acquired_shape(clean.shape, parameters.acceleration)  # type: ignore[arg-type]
    pads = [((m - n) // 2, (m - n) - (m - n) // 2) for m, n in zip(shape, clean.shape, strict=True)]
    inner = tuple(slice(low, low + n) for (low, _), n in zip(pads, clean.shape, strict=True))
    edges = (float(voxel[order[0]]), float(voxel[order[1]]), float(voxel[order[2]]))
    padded = np.pad(clean, pads)
    channels = receive_channels(padded, edges, order.index(bore_axis), parameters)
    transfer = Transfer.of(shape, parameters)
    sums = _acquire(padded, channels, transfer, parameters, rng)
    profile = np.ones_like(padded)
    if parameters.normalisation > 0:
        profile = receive_profile(_sum_of_squares(channels, len(padded)), parameters.normalisation)
    level = parameters.level * (float(clean.max(initial=0)) or 1.0)
    return _finish(sums, profile, inner, order, transfer, parameters, level)


def random_scanners(
    volumes: Sequence[tuple[np.ndarray, Sequence[float]]], count: int = 200, seed: int = 0
) -> Iterator[Scan]:
    """Scans of volumes by random scanners, each other scanner with the next volume in turn.

    Args:
        volumes: noise-free images, (X, Y, Z), each with the edges of its voxels in mm.
        count: number of scans.
        seed: of the choices and of the noise; scan ``i`` does not depend on ``count``.

    Yields:
        The scans, made when they are asked for.
    """
    for index in range(count):
        rng = np.random.default_rng([seed, index])
        array, voxel = volumes[index % len(volumes)]
        yield scan(array, voxel, random_parameters(rng), rng)


def _acquire(
    clean: np.ndarray,
    channels: Channels,
    transfer: Transfer,
    parameters: ScannerParameters,
    rng: np.random.Generator,
) -> _Sums:
    """Signal and noise of unit level through coils, k-space and reconstruction."""
    signal = clean * _background_phase(clean.shape, parameters)
    reconstruction = _reconstruction(clean, signal, channels, parameters)
    zeros = [np.zeros(clean.shape, np.float32) for _ in range(6)]
    sums = _Sums(**dict(zip(("signal", "cross", "noise", "along", "total", "count"), zeros, strict=True)))
    whole: list[tuple[np.ndarray, np.ndarray]] = []
    factor = parameters.acceleration
    for z in range(len(clean)):
        seen = channels.sensitivities.slice(z)
        folded = fold(seen * signal[z], factor)
        draws = rng.standard_normal((*folded.shape, 2), dtype=np.float32).view(np.complex64)[..., 0]
        draws *= np.float32(1 / np.sqrt(factor))
        noise = np.tensordot(channels.noise_root, draws, axes=1)
        weights = None if reconstruction is None else reconstruction.weights(z, seen)
        if weights is not None:
            folded, noise = unfold(folded, weights), unfold(noise, weights)
        s, n = transfer.filter_plane(folded), transfer.filter_plane(noise)
        _add_variances(sums, z, weights, seen, channels.noise_root, factor)
        if transfer.across is None:
            _add_powers(sums, z, s, n)
        else:
            whole.append((s, n))
    if whole:
        for m in range(len(whole[0][0])):
            s, n = (transfer.filter_across(np.stack([pair[i][m] for pair in whole])) for i in (0, 1))
            _add_powers(sums, slice(None), s[None], n[None])
    for name in ("along", "total"):
        variance = transfer.spread_across(transfer.spread_plane(getattr(sums, name)))
        setattr(sums, name, variance)
    return sums


def _add_powers(sums: _Sums, place: int | slice, s: np.ndarray, n: np.ndarray) -> None:
    """Add the channels' powers, arrays of shape (M, ...), at a slice or at all."""
    sums.signal[place] += np.square(np.abs(s)).sum(axis=0)
    sums.noise[place] += np.square(np.abs(n)).sum(axis=0)
    sums.cross[place] += 2 * (s.real * n.real + s.imag * n.imag).sum(axis=0)


def _add_variances(
    sums: _Sums, z: int, weights: np.ndarray | None, seen: np.ndarray, root: np.ndarray, factor: int
) -> None:
    """Variances of unit noise in slice ``z`` before filters."""
    direction = seen / np.sqrt(np.square(np.abs(seen)).sum(axis=0)).clip(1e-12)
    if weights is not None and len(weights) == 1:
        mixed = np.tensordot(root.T, weights[0], axes=1)
        sums.along[z] = sums.total[z] = np.square(np.abs(mixed)).sum(axis=0) / factor
        sums.count[z] = 1
        return
    rows, columns = seen.shape[1:]
    if weights is None:
        few = root[None, None]
        mixed = np.tensordot(root.T, direction.conj(), axes=1)
    else:  # the covariance varies slowly: each other row and column will do
        few = np.moveaxis(weights[:, :, ::2, ::2], (0, 1), (2, 3)) @ root
        mixed = np.tensordot(root.T, np.einsum("lhw,lkhw->khw", direction.conj(), weights), axes=1)
    sums.along[z] = np.square(np.abs(mixed)).sum(axis=0) / factor
    covariance = few @ few.conj().swapaxes(-1, -2) / factor
    total = np.einsum("hwll->hw", covariance).real
    count = np.square(total) / np.square(np.abs(covariance)).sum(axis=(-1, -2)).clip(1e-30)
    if weights is not None:
        total, count = (a.repeat(2, 0).repeat(2, 1)[:rows, :columns] for a in (total, count))
    sums.total[z], sums.count[z] = total, count


def _reconstruction(
    clean: np.ndarray, signal: np.ndarray, channels: Channels, parameters: ScannerParameters
) -> Reconstruction | None:
    """What the parameters ask for; None passes the channels on."""
    level, factor = parameters.level, parameters.acceleration
    if parameters.combination == "sense" and (factor == 1 or parameters.method == "sense"):
        strength = parameters.regularisation
        return Sense(acceleration=factor, prior=reference_prior(clean, level, strength) if strength > 0 else None)
    combination: Combination | None = None
    if parameters.combination == "adaptive":
        combination = Matched(directions=walsh_directions(channels, clean, level))
    elif parameters.combination == "sense":
        combination = Even()
    if factor > 1:
        return Grappa(factor, channels, signal, level * float(clean.max(initial=0)), combination)
    return None if combination is None else Combined(combination=combination)


def _background_phase(shape: tuple[int, ...], parameters: ScannerParameters) -> np.ndarray:
    """exp(i phi), phi a smooth field of the given peak, as an uneven main field leaves it."""
    rng = np.random.default_rng(parameters.arrangement)
    z, h, w = (np.linspace(-1, 1, n, dtype=np.float32) for n in shape)
    terms = rng.uniform(-1, 1, 6).astype(np.float32)
    terms *= np.float32(parameters.phase / max(np.abs(terms).sum(), 1e-6))
    z, h, w = z[:, None, None], h[None, :, None], w[None, None]
    phi = terms[0] * z + terms[1] * h + terms[2] * w + terms[3] * z * h + terms[4] * h * h + terms[5] * w * w
    return np.exp(1j * phi, dtype=np.complex64)


def _sum_of_squares(channels: Channels, slices: int) -> np.ndarray:
    """Root of the sum of the squared sensitivities, (Z, H, W)."""
    planes = (channels.sensitivities.slice(z) for z in range(slices))
    return np.stack([np.sqrt(np.square(np.abs(plane)).sum(axis=0)) for plane in planes])


def floor_moments(total: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of the root of the sum of squares of noise alone.

    Correlated channels act as fewer independent ones (S. Aja-Fernandez and A. Tristan-Vega 2012,
    https://doi.org/10.1002/mrm.23020): with the covariance C, L = tr(C)^2 / tr(C^2) channels of the variance tr(C) / L.
    The root of the sum of squares of 2 L normal values has the mean sqrt(2) G(L + 1/2) / G(L) and the second moment 2 L.
    One channel is Rayleigh's distribution (H. Gudbjartsson and S. Patz 1995, https://doi.org/10.1002/mrm.1910340618).

    Args:
        total: tr(C), the sum of the variances of the channels' real parts.
        count: L.

    Returns:
        The two, in the shape of ``total``.
    """
    sigma = np.sqrt(total / count)
    mean = np.sqrt(2) * np.exp(gammaln(count + 0.5) - gammaln(count))
    std = np.sqrt(np.maximum(2 * count - np.square(mean), 0))
    return (sigma * mean).astype(np.float32), (sigma * std).astype(np.float32)


def _finish(
    sums: _Sums,
    profile: np.ndarray,
    inner: tuple[slice, ...],
    order: tuple[int, int, int],
    transfer: Transfer,
    parameters: ScannerParameters,
    level: float,
) -> Scan:
    """The level of the noise, post-processing, and the order of the axes."""
    factor = profile[inner]
    truth = np.sqrt(sums.signal[inner]) * factor
    sigma = np.sqrt(sums.along[inner]) * factor
    mean, std = floor_moments(sums.total[inner], sums.count[inner])
    head = find_head(truth)
    peak = float(truth.max(initial=0))
    usual = float(np.median(sigma[head])) if head.any() else 1.0
    scale = np.float32(level / max(usual, 1e-30))
    power = sums.signal[inner] + scale * sums.cross[inner] + scale**2 * sums.noise[inner]
    covers = air_factor(truth, parameters.air)
    factor = factor * covers
    image = np.sqrt(np.maximum(power, 0)) * factor
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
    rows = transfer.correlation(REACH)[back]
    return Scan(**ordered, correlation=rows, parameters=parameters)
