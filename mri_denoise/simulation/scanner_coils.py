"""Receiver coils around a head: their places, sensitivities and noise, and the channels that are made of them.

Sensitivities follow Biot and Savart's law, as in P. B. Roemer et al., "The NMR phased array" (1990),
https://doi.org/10.1002/mrm.1910160203: B = integral of dl x r / |r|^3 over the loop, and the sensitivity is the
transverse component Bx - i By. A single coil is a birdcage (C. E. Hayes et al. 1985,
https://doi.org/10.1016/0022-2364(85)90257-4): a ring of loops added in quadrature, with nearly even
sensitivity.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline

from mri_denoise.simulation.scanner_parameters import ScannerParameters

_RUNGS = 16  # loops whose sum is a birdcage
_SEGMENTS = 24  # of a loop
_OVERLAP = 1.2  # size of a loop over the distance of neighbours
_WIRE = 8.0  # mm; keeps the field finite at the wire
_SPACING = 10.0  # mm between the points at which sensitivities are computed


@dataclass(frozen=True, kw_only=True)
class SmoothField:
    """Smooth fields, stored at few points and interpolated by cubic splines.

    Args:
        values: complex64, shape (C, z, h, w): C fields at the few points.
        bases: three float32 matrices, each (voxels, points): the interpolation along an axis.
    """

    values: np.ndarray
    bases: tuple[np.ndarray, np.ndarray, np.ndarray]

    def slice(self, z: int) -> np.ndarray:
        """Return the fields in slice ``z``: complex64, shape (C, H, W)."""
        plane = np.tensordot(self.bases[0][z], self.values, axes=(0, 1))
        return self.bases[1] @ plane @ self.bases[2].T

    def with_values(self, values: np.ndarray) -> SmoothField:
        """Return other fields at the same points."""
        return SmoothField(values=values.astype(np.complex64), bases=self.bases)


@dataclass(frozen=True, kw_only=True)
class Points:
    """The points at which smooth fields are computed.

    Args:
        places: coordinates along each axis in mm, 0 in the middle of the volume.
        bases: the interpolation from the points to the voxels, see :class:`SmoothField`.
    """

    places: tuple[np.ndarray, np.ndarray, np.ndarray]
    bases: tuple[np.ndarray, np.ndarray, np.ndarray]

    @classmethod
    def over(cls, shape: tuple[int, int, int], voxel: tuple[float, float, float]) -> Points:
        """Cover a volume with points.

        Args:
            shape: voxels along each axis.
            voxel: their edges in mm.
        """
        places, bases = [], []
        for count, edge in zip(shape, voxel, strict=True):
            fine = (np.arange(count) - (count - 1) / 2) * edge
            half = max(-fine[0], edge)
            few = np.linspace(-half, half, max(4, int(np.ceil(2 * half / _SPACING)) + 1))
            places.append(few)
            bases.append(CubicSpline(few, np.eye(len(few)))(fine).astype(np.float32))
        return cls(places=(places[0], places[1], places[2]), bases=(bases[0], bases[1], bases[2]))

    def average(self, volume: np.ndarray) -> np.ndarray:
        """Average a volume (Z, H, W) around each point, with the weights of the interpolation."""
        for axis, basis in enumerate(self.bases):
            weights = np.clip(basis, 0, None)
            weights = weights / np.maximum(weights.sum(axis=0), 1e-6)
            volume = np.moveaxis(np.tensordot(weights.T, volume, axes=(1, axis)), 0, axis)
        return volume


@dataclass(frozen=True, kw_only=True)
class Loops:
    """Elliptic loops.

    Args:
        centres: (N, 3) in mm.
        axes: (N, 2, 3): the two half axes of each loop as vectors in mm.
    """

    centres: np.ndarray
    axes: np.ndarray


def arrange_loops(
    count: int, centre: np.ndarray, half: np.ndarray, bore: int, seed: int, *, one_ring: bool = False
) -> Loops:
    """Place loops on a helmet: rings around the bore's axis, the upper ones narrower.

    Args:
        count: number of loops.
        centre: middle of the head in mm, (3,).
        half: half axes of the helmet in mm, (3,).
        bore: the axis along the magnet, 0, 1 or 2.
        seed: turns the rings and moves each loop by a few mm.
        one_ring: put all loops on one ring; otherwise there is a ring for each eight of them.
    """
    rng = np.random.default_rng(seed)
    rings = 1 if one_ring else int(np.ceil(count / 8))
    across = [axis for axis in range(3) if axis != bore]
    centres, widths = [], []
    for ring in range(rings):
        members = count // rings + (ring < count % rings)
        height = (2 * ring + 1) / rings - 1
        narrow = np.sqrt(1 - (0.75 * max(height, 0)) ** 2)
        angles = 2 * np.pi * (np.arange(members) + rng.random()) / members
        places = np.zeros((members, 3))
        places[:, across[0]] = narrow * half[across[0]] * np.cos(angles)
        places[:, across[1]] = narrow * half[across[1]] * np.sin(angles)
        places[:, bore] = 0.9 * height * half[bore]
        centres.append(places)
        widths.extend([2 * np.pi * narrow * half[across].mean() / max(members, 3)] * members)
    places = np.concatenate(centres) + rng.normal(0, 3, (count, 3))
    inward = -places / np.square(half)
    inward /= np.linalg.norm(inward, axis=1, keepdims=True)
    along = np.eye(3)[bore] - inward[:, bore, None] * inward
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    sideways = np.cross(inward, along)
    axes = np.stack(
        [_OVERLAP * 0.9 * half[bore] / rings * along, _OVERLAP / 2 * np.array(widths)[:, None] * sideways], 1
    )
    return Loops(centres=places + centre, axes=axes)


def loop_sensitivities(loops: Loops, places: tuple[np.ndarray, np.ndarray, np.ndarray], bore: int) -> np.ndarray:
    """Compute the sensitivity of each loop at each point.

    Args:
        loops: N loops.
        places: coordinates in mm along the three axes.
        bore: the axis of the main field.

    Returns:
        complex64, shape (N, z, h, w), in arbitrary units.
    """
    points = np.stack(np.meshgrid(*places, indexing="ij")).reshape(3, -1).astype(np.float32)
    one, other = (axis for axis in range(3) if axis != bore)
    angles = 2 * np.pi * np.arange(_SEGMENTS) / _SEGMENTS
    cosine, sine = np.cos(angles), np.sin(angles)
    found = np.zeros((len(loops.centres), points.shape[1]), np.complex64)
    for index, (centre, (first, second)) in enumerate(zip(loops.centres, loops.axes, strict=True)):
        wires = centre[:, None] + first[:, None] * cosine + second[:, None] * sine
        steps = (second[:, None] * cosine - first[:, None] * sine) * (2 * np.pi / _SEGMENTS)
        # few segments at a time where there are many points, so that the arrays stay in the cache
        for part in np.array_split(np.arange(_SEGMENTS), max(1, points.shape[1] * _SEGMENTS // 30000)):
            if part.size:
                wire, step = (a[:, part, None].astype(np.float32) for a in (wires, steps))
                r = points[:, None] - wire
                inverse = (np.square(r).sum(axis=0) + np.float32(_WIRE**2)) ** np.float32(-1.5)
                field = [step[axis - 2] * r[axis - 1] - step[axis - 1] * r[axis - 2] for axis in (one, other)]
                found[index] += ((field[0] - 1j * field[1]) * inverse).sum(axis=0)
    return found.reshape(-1, *(len(p) for p in places))


def noise_covariance(loops: Loops, coupling: float) -> np.ndarray:
    """Compute the covariance of the coils' noise, which falls exponentially with their distance.

    It is 1 on the diagonal and ``coupling`` at the median distance of neighbours.

    Args:
        loops: N loops.
        coupling: 0 to below 1.

    Returns:
        (N, N), positive definite.
    """
    apart = np.linalg.norm(loops.centres[:, None] - loops.centres[None], axis=-1)
    if len(apart) == 1 or coupling == 0:
        return np.eye(len(apart))
    nearest = np.median(np.min(apart + 1e9 * np.eye(len(apart)), axis=1))
    return coupling ** (apart / nearest)


@dataclass(frozen=True, kw_only=True)
class Channels:
    """Receiver channels, the input of the reconstruction.

    Args:
        sensitivities: of V channels, with a sum of squares that is 1 on average over the head's signal.
        points: where the sensitivities are known.
        noise_root: (V, V), the factor that turns white noise into that of the channels; the identity after
            prewhitening.
    """

    sensitivities: SmoothField
    points: Points
    noise_root: np.ndarray


def receive_channels(
    signal: np.ndarray, voxel: tuple[float, float, float], bore: int, parameters: ScannerParameters
) -> Channels:
    """Compute the channels of a scanner around a head.

    Channels are prewhitened (K. P. Pruessmann et al. 2001, https://doi.org/10.1002/mrm.1241), except for the root of
    the sum of squares, which takes the coils as they are. Then the principal components of the signal are
    kept (M. Buehrer et al. 2007, https://doi.org/10.1002/mrm.21237).

    Args:
        signal: noise-free image of the head, shape (Z, H, W), at least 0.
        voxel: edges in mm.
        bore: the axis along the magnet.
        parameters: of the scanner.
    """
    points = Points.over(signal.shape, voxel)
    centre, half = _head_box(signal, voxel)
    birdcage = parameters.coils == 1
    rungs = _RUNGS if birdcage else parameters.coils
    loops = arrange_loops(rungs, centre, half + parameters.gap, bore, parameters.arrangement, one_ring=birdcage)
    seen = loop_sensitivities(loops, points.places, bore)
    if birdcage:  # the phase of each loop's signal is turned by its angle
        turns = np.exp(2j * np.pi * np.arange(_RUNGS) / _RUNGS).astype(np.complex64)
        seen = np.tensordot(turns[None], seen, axes=1)
    covariance = np.eye(1) if birdcage else noise_covariance(loops, parameters.coupling)
    mix = np.eye(parameters.coils)
    if parameters.combination != "rss":
        mix = np.linalg.inv(np.linalg.cholesky(covariance))
    weight = points.average(np.square(signal)).ravel()
    weight = weight / max(weight.sum(), 1e-30) if weight.any() else np.full(weight.size, 1 / weight.size)
    flat = mix @ seen.reshape(parameters.coils, -1)
    if parameters.receivers < parameters.coils:
        _, vectors = np.linalg.eigh((flat * weight) @ flat.conj().T)
        compress = vectors[:, ::-1][:, : parameters.receivers].conj().T
        mix, flat = compress @ mix, compress @ flat
    root = np.linalg.cholesky(mix @ covariance @ mix.conj().T)
    scale = np.sqrt(np.sum(weight * np.sum(np.square(np.abs(flat)), axis=0)))
    values = (flat / scale).reshape(-1, *seen.shape[1:])
    field = SmoothField(values=values.astype(np.complex64), bases=points.bases)
    return Channels(sensitivities=field, points=points, noise_root=root.astype(np.complex64))


def _head_box(signal: np.ndarray, voxel: tuple[float, float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Return the middle and the half axes (at least 60 mm, for slabs) of the box around the head, in mm."""
    inside = signal > 0.1 * signal.max(initial=0)
    centre, half = np.zeros(3), np.full(3, 60.0)
    for axis in range(3):
        line = np.flatnonzero(inside.any(axis=tuple(a for a in range(3) if a != axis)))
        if line.size:
            places = (line[[0, -1]] - (signal.shape[axis] - 1) / 2) * voxel[axis]
            centre[axis] = places.mean()
            half[axis] = max(half[axis], (places[1] - places[0]) / 2)
    return centre, half
