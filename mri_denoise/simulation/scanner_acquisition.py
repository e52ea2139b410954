"""Take an object through coils, k-space and reconstruction, to the powers of its signal and noise at each voxel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mri_denoise.simulation.scanner_coils import Channels
from mri_denoise.simulation.scanner_grappa import Grappa
from mri_denoise.simulation.scanner_kspace import Transfer
from mri_denoise.simulation.scanner_noise import ManyChannels, Variances, one_channel, power
from mri_denoise.simulation.scanner_parameters import ScannerParameters
from mri_denoise.simulation.scanner_reconstruction import (
    Combination,
    Combined,
    Even,
    Matched,
    Reconstruction,
    Sense,
    fold,
    reference_prior,
    unfold,
    walsh_directions,
)


@dataclass(kw_only=True)
class Acquired:
    """Sums over the channels of a result, each per voxel, float32, shape (Z, H, W), for noise of unit level.

    An image with noise of the level t is sqrt(signal + t cross + t^2 noise).

    Args:
        signal: |s|^2 of the signal s.
        cross: 2 Re(s* n), n the noise.
        noise: |n|^2.
        along: variance of the noise along the signal, see :class:`~mri_denoise.simulation.scanner_noise.Variances`.
        total: sum of the channels' variances.
        count: effective number of independent channels.
    """

    signal: np.ndarray
    cross: np.ndarray
    noise: np.ndarray
    along: np.ndarray
    total: np.ndarray
    count: np.ndarray

    @classmethod
    def empty(cls, shape: tuple[int, ...]) -> Acquired:
        """Start from zeros."""
        a, b, c, d, e, f = (np.zeros(shape, np.float32) for _ in range(6))
        return cls(signal=a, cross=b, noise=c, along=d, total=e, count=f)

    def add(self, place: int | slice, signal: np.ndarray, noise: np.ndarray) -> None:
        """Add the powers of channels of shape (M, ...) at a slice or at all."""
        self.signal[place] += power(signal)
        self.noise[place] += power(noise)
        self.cross[place] += 2 * (signal.real * noise.real + signal.imag * noise.imag).sum(axis=0)


def acquire(
    clean: np.ndarray,
    thickness: float,
    channels: Channels,
    transfer: Transfer,
    parameters: ScannerParameters,
    rng: np.random.Generator,
) -> Acquired:
    """Take an object through coils, k-space and reconstruction.

    Args:
        clean: noise-free image, shape (Z, H, W), W the phase-encoded axis and a multiple of the acceleration.
        thickness: of a slice in mm.
        channels: what the coils see.
        transfer: the filters of k-space.
        parameters: of the scanner.
        rng: source of the noise.
    """
    signal = clean * _background_phase(clean.shape, parameters)
    reconstruction = choose_reconstruction(clean, signal, thickness, channels, parameters)
    many = ManyChannels(channels.noise_root, parameters.acceleration)
    usual = np.float32(max(parameters.level * float(clean.max(initial=0)), 1e-30))
    result = Acquired.empty(clean.shape)
    whole: list[tuple[np.ndarray, np.ndarray]] = []
    for z in range(len(clean)):
        seen = channels.sensitivities.slice(z)
        weights = None if reconstruction is None else reconstruction.weights(z, seen)
        s = fold(seen * signal[z], parameters.acceleration)
        s = transfer.filter_plane(s if weights is None else unfold(s, weights))
        if weights is not None and len(weights) == 1:
            found = one_channel(weights[0], channels.noise_root, parameters.acceleration)
        else:  # where there is less signal than noise, the sensitivities give its direction
            found = many.variances(weights, s + usual * seen)
        result.along[z], result.total[z], result.count[z] = found.along, found.total, found.count
        n = transfer.filter_plane(_draw_noise(seen.shape, weights, found, channels, parameters, rng))
        if transfer.across is None:
            result.add(z, s, n)
        else:
            whole.append((s, n))
    for m in range(len(whole[0][0]) if whole else 0):
        s, n = (transfer.filter_across(np.stack([pair[i][m] for pair in whole])) for i in (0, 1))
        result.add(slice(None), s[None], n[None])
    result.along = transfer.spread_across(transfer.spread_plane(result.along))
    result.total = transfer.spread_across(transfer.spread_plane(result.total))
    return result


def _draw_noise(
    shape: tuple[int, ...],
    weights: np.ndarray | None,
    variances: Variances,
    channels: Channels,
    parameters: ScannerParameters,
    rng: np.random.Generator,
) -> np.ndarray:
    """Draw the noise of a slice of ``shape`` (V, H, W) after the reconstruction, (M, H, W)."""
    factor = parameters.acceleration
    if weights is not None and len(weights) == 1 and factor == 1:  # as white as that of the channels: one draw will do
        return _white((1, *shape[1:]), rng) * np.sqrt(variances.along)
    draws = _white((*shape[:-1], shape[-1] // factor), rng) * np.float32(1 / np.sqrt(factor))
    noise = np.tensordot(channels.noise_root, draws, axes=1)
    return noise if weights is None else unfold(noise, weights)


def choose_reconstruction(
    clean: np.ndarray, signal: np.ndarray, thickness: float, channels: Channels, parameters: ScannerParameters
) -> Reconstruction | None:
    """Set up the reconstruction that the parameters name.

    Args:
        clean: noise-free image, shape (Z, H, W).
        signal: the same with its phase.
        thickness: of a slice in mm.
        channels: what the coils see.
        parameters: of the scanner.

    Returns:
        The reconstruction; None where the channels are taken as they are.
    """
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
        return Grappa(
            acceleration=factor,
            channels=channels,
            signal=signal,
            thickness=thickness,
            sigma=level * float(clean.max(initial=0)),
            combination=combination,
        )
    return None if combination is None else Combined(combination=combination)


def _white(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Draw white complex noise, of standard deviation 1 in the real and in the imaginary part."""
    return rng.standard_normal((*shape, 2), dtype=np.float32).view(np.complex64)[..., 0]


def _background_phase(shape: tuple[int, ...], parameters: ScannerParameters) -> np.ndarray:
    """Return exp(i phi), phi a smooth field that an uneven main field causes."""
    rng = np.random.default_rng(parameters.arrangement)
    z, h, w = (np.linspace(-1, 1, n, dtype=np.float32) for n in shape)
    terms = rng.uniform(-1, 1, 6).astype(np.float32)
    terms *= np.float32(parameters.phase / max(np.abs(terms).sum(), 1e-6))
    z, h, w = z[:, None, None], h[None, :, None], w[None, None]
    phi = terms[0] * z + terms[1] * h + terms[2] * w + terms[3] * z * h + terms[4] * h * h + terms[5] * w * w
    return np.exp(1j * phi, dtype=np.complex64)
