"""The last steps of a denoising chain: what holds no noise stays as it was; result and input are blended."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

from mri_denoise.inference.parts import slabs, solid_parts
from mri_denoise.noise.rician import chi_moments
from mri_denoise.transforms.intensity import robust_range

REACH = 5.0  # sigma: one voxel in a million lies farther from its signal
_ZERO_ERROR = 0.1  # of REACH sigma: how far the zero that was found may be off
_FINE = 0.02  # of REACH sigma
_ROUNDING = 2.0**-22  # relative, of scaling there and back: two units in the last place


class BlendStrengthd(MapTransform):
    """Between input, ``raw``, and full result: ``raw + strength * (image - raw)``; strength 0 is the input bit for bit.

    Args:
        keys: denoised images.
        strength: 0 to 1.

    Raises:
        ValueError: if the strength is outside of [0, 1].
    """

    def __init__(self, keys: KeysCollection, strength: float = 1.0) -> None:
        super().__init__(keys)
        if not 0 <= strength <= 1:
            raise ValueError(f"strength must lie in [0, 1], got {strength}.")
        self.strength = strength

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Blend."""
        d = dict(data)
        if self.strength == 1:
            return d
        for key in self.key_iterator(d):
            raw = d["raw"]
            d[key] = raw if self.strength == 0 else (d[key] - raw).mul_(self.strength).add_(raw)
        return d


def still_voxels(volume: torch.Tensor) -> torch.Tensor:
    """Voxels that equal all their neighbours (3 x 3 x 3): of padding, a defaced or a saturated region; noise differs.

    With SciPy's filters, as the voxels whose largest neighbour is the smallest, it takes eight times as long.

    Args:
        volume: shape (X, Y, Z), numbers or boolean.

    Returns:
        boolean, same shape.
    """
    still = torch.ones_like(volume, dtype=torch.bool)
    for axis, n in enumerate(volume.shape):
        if n < 2:
            continue
        same = volume.narrow(axis, 1, n - 1) == volume.narrow(axis, 0, n - 1)
        around = still.clone()  # of the lines along the axes before, those of both neighbours too
        for here, there in ((1, 0), (0, 1)):
            around.narrow(axis, here, n - 1).logical_and_(still.narrow(axis, there, n - 1)).logical_and_(same)
        still = around
        if not still.any():
            break
    return still


def masked_voxels(volume: torch.Tensor) -> torch.Tensor:
    """Voxels that somebody set to 0: they hold no measurement.

    These are the zeros of a block, its rim included. Single zeros may be noise that was rounded: the density of a
    magnitude falls to 0 at 0 (Rayleigh's distribution), so noise has at least eight times as many voxels of the next
    value, and Gaussian noise twice as many. If an image has more zeros than voxels of the next value, all were set.

    Args:
        volume: shape (X, Y, Z).

    Returns:
        boolean, same shape.
    """
    zeros = volume == 0
    count = int(torch.count_nonzero(zeros))  # a sum would copy the mask as integers
    if not count:
        return zeros
    parts = slabs(volume)  # a copy of a large volume would be the peak of the memory that denoising takes
    step = min(float(volume[part].abs().masked_fill_(zeros[part], torch.inf).min()) for part in parts)
    near = sum(int(torch.count_nonzero((volume[part].abs() < 1.5 * step) & ~zeros[part])) for part in parts)
    if math.isinf(step) or count > near:
        return zeros
    blocks = still_voxels(zeros) & zeros
    for axis in range(3):  # the voxels around those with empty neighbours
        wider = blocks.clone()
        n = blocks.shape[axis] - 1
        wider.narrow(axis, 1, n).logical_or_(blocks.narrow(axis, 0, n))
        wider.narrow(axis, 0, n).logical_or_(blocks.narrow(axis, 1, n))
        blocks = wider
    return blocks & zeros


class RestoreBackgroundd(MapTransform):
    """Leave alone what holds no noise, and move no voxel farther than noise explains.

    * Masked voxels (:func:`masked_voxels`) stay 0, and others do not become 0, so that the mask of a result is that of
      its input.
    * No voxel moves by more than 5 sigma, unless it is 0; where several coils add up (``coils``), by the mean of their
      noise more. None exceeds the highest of the input.
    * A result is not negative if its input is nowhere. Of an image that counts from another value than 0, this and the
      mask are those of the image that is counted from there.
    * A voxel that differs by the rounding of scaling there and back alone is given back bit for bit, and so is one
      above ``ceiling``, which is no measurement, and one that equals all its neighbours (:func:`still_voxels`).
    * So is one that is missing in the file, for which something was put in (``missing``, of the image's shape).

    The item has ``raw``, the input in the file's units, and where it is known ``sigma``, of shape (T,) or (T, X, Y, Z),
    ``zero``, ``fill`` and ``ceiling``, of shape (T,) (:class:`~mri_denoise.transforms.EstimateNoised`).

    Args:
        keys: denoised images of shape (T, X, Y, Z) in the file's units.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Put back what was there."""
        d = dict(data)
        for key in self.key_iterator(d):
            for t, (image, raw) in enumerate(zip(d[key], d["raw"], strict=True)):
                down, up = _reach(d, t)
                zero, fill, sign = _counting(d, t)
                if up is not None and not up.any():  # no noise: nothing was removed but by rounding
                    image.copy_(raw)
                elif zero == 0 and sign > 0 and not abs(fill) > 0:
                    _restore(torch.as_tensor(image), torch.as_tensor(raw), down, up)
                else:
                    _restore_counted(torch.as_tensor(image), torch.as_tensor(raw), down, up, (zero, fill, sign))
                ceiling = float(torch.as_tensor(d["ceiling"])[t]) if "ceiling" in d else math.inf
                _keep(torch.as_tensor(image), torch.as_tensor(raw), ceiling)
            missing = d.get("missing")
            if missing is not None and missing.shape == d[key].shape:
                d[key][missing] = d["raw"][missing]
        return d


def _keep(image: torch.Tensor, raw: torch.Tensor, ceiling: float) -> None:
    """Give back the voxels of a volume that are no measurement of a signal, some planes at a time."""
    for part in slabs(raw):
        low, high = max(part.start - 1, 0), part.stop + 1
        kept = still_voxels(raw[low:high])[part.start - low :][: part.stop - part.start]
        if math.isfinite(ceiling):
            kept |= raw[part] > ceiling
        image[part] = torch.where(kept, raw[part], image[part])


def _reach(item: Mapping[Hashable, Any], number: int) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    """How far a volume's voxels may fall and rise: numbers, or one for each voxel; None if the noise is not known."""
    if item.get("sigma") is None:
        return None, None
    sigma = torch.as_tensor(item["sigma"])[number]
    coils = 1.0 if item.get("coils") is None else float(torch.as_tensor(item["coils"])[number])
    floor = 0.0 if coils <= 1 else float(chi_moments(np.zeros(1), coils)[0][0])
    return sigma * max(REACH, floor + REACH / 2), sigma * REACH


def _counting(item: Mapping[Hashable, Any], number: int) -> tuple[float, float, float]:
    """What a volume counts from, the value of its masked voxels (NaN for 0), and its direction."""
    usual = {"zero": 0.0, "fill": float("nan"), "sign": 1.0}
    zero, fill, sign = (float(torch.as_tensor(item[k])[number]) if k in item else v for k, v in usual.items())
    return zero, fill, sign


def _restore_counted(
    image: torch.Tensor,
    raw: torch.Tensor,
    down: torch.Tensor | None,
    up: torch.Tensor | None,
    counting: tuple[float, float, float],
) -> None:
    """Overwrite a volume that counts from another value than 0, or whose masked voxels have another value."""
    zero, fill, sign = counting
    counted = (raw - zero) * sign
    counted[raw == fill] = 0
    image.sub_(zero).mul_(sign)
    least = min(float(counted.min()), 0.0)
    if up is not None and -least < _ZERO_ERROR * float(up.mean()):
        counted.clamp_min_(0)  # the zero was found a little too high
    _restore(image, counted, down, up, abs(zero))
    same = image == counted
    image.mul_(sign).add_(zero)
    image.copy_(torch.where(same, raw, image))


def _restore(
    image: torch.Tensor,
    raw: torch.Tensor,
    down: torch.Tensor | None,
    up: torch.Tensor | None,
    coarse: float = 0.0,
) -> None:
    """Overwrite a volume where its input stays, some planes at a time; ``coarse`` is a value that rounding follows."""
    lowest = min((float(raw[part].min()) for part in solid_parts(raw)), default=0.0)  # without a padding of -1024
    lower = max(abs(robust_range(np.asarray(raw))[0]) if lowest < 0 else 0.0, coarse)
    masked = masked_voxels(raw)
    image[masked] = 0
    least = _least_inside(raw, masked, up) if lowest >= 0 else 0.0
    highest = float(raw.max()) if raw.numel() else 0.0
    for part in slabs(raw):
        new, old = image[part], raw[part]
        if down is not None and up is not None:
            fall, rise = (reach if reach.ndim == 0 else reach[part] for reach in (down, up))
            near = torch.maximum(torch.minimum(new, old + rise), old - fall)
            new.copy_(torch.where(old == 0, new, near).clamp_max_(highest))
        if lowest >= 0:
            new.copy_(torch.maximum(new, old.clamp_max(least)))
        same = (new - old).abs() <= _ROUNDING * old.abs().clamp_min(lower)
        new.copy_(torch.where(same, old, new))


def _least_inside(raw: torch.Tensor, masked: torch.Tensor, reach: torch.Tensor | None) -> float:
    """The smallest value inside a mask or a tenth of sigma, so that no voxel in it becomes 0; 0 without a mask."""
    if reach is None or not masked.any() or torch.count_nonzero(masked) < torch.count_nonzero(raw == 0):
        return 0.0
    least = min(float(raw[part].masked_fill(masked[part], torch.inf).min()) for part in slabs(raw))
    return min(least, _FINE * float(reach.mean())) if math.isfinite(least) else 0.0
