"""Convert stored numbers of a file to real-world values and back; what did not change keeps its stored number."""

from __future__ import annotations

import numpy as np


def to_values(stored: np.ndarray, slope: float, inter: float) -> np.ndarray:
    """Compute ``stored * slope + inter`` in float64 and round once to float32.

    Args:
        stored: integers or floats of any shape and byte order.
        slope: multiplier; 1 if the file defines none.
        inter: offset in real-world units.

    Returns:
        float32 array of the same shape. NaN and infinity stay.

    Raises:
        OverflowError: A finite value is beyond the range of float32.

    Examples:
        >>> to_values(np.array([0, 10], dtype=np.int16), slope=0.5, inter=1.0)
        array([1., 6.], dtype=float32)
    """
    if slope == 1 and inter == 0 and stored.dtype.newbyteorder("=") == np.float32:
        return stored.astype(np.float32)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        exact = stored.astype(np.float64)
        exact *= slope
        exact += inter
        values = exact.astype(np.float32)
    # infinity is allowed only where the file itself holds it
    if stored.dtype.kind != "f":
        beyond = np.isinf(values)
    else:
        beyond = np.isinf(values) & np.isfinite(stored)
    if beyond.any():
        raise OverflowError("values beyond the range of float32")
    return values


def vanishes(stored: np.ndarray, values: np.ndarray) -> bool:
    """Tell whether an image has become 0 because all its numbers are too small for float32.

    Args:
        stored: floats of the file, of any shape.
        values: of :func:`to_values`.
    """
    return stored.dtype.kind == "f" and not values.any() and bool(np.any(np.nan_to_num(stored)))


def to_stored(array: np.ndarray, source: np.ndarray, slope: float, inter: float) -> np.ndarray:
    """Convert real-world values to the numbers that the file stores.

    A number of `source` is kept where `array` is bitwise its value, or where that value is not finite. Elsewhere the
    number is ``(array - inter) / slope``, rounded to the nearest for integers and clipped to the range of the type.

    Args:
        array: float32 values, the shape of `source`.
        source: the stored numbers that were read.
        slope: multiplier, not 0.
        inter: offset.

    Returns:
        Array of the shape and dtype (with byte order) of `source`.

    Raises:
        ValueError: `array` is not finite where `source` is finite.
    """
    values = to_values(source, slope, inter)
    array = np.ascontiguousarray(array, dtype=np.float32)
    keep = np.ascontiguousarray(values).view(np.uint32) == array.view(np.uint32)
    keep |= ~np.isfinite(values)
    changed = array[~keep].astype(np.float64)
    if not np.isfinite(changed).all():
        raise ValueError("the result is not finite where the input is")
    result = source.copy()
    with np.errstate(over="ignore"):  # beyond float64 is beyond every type, and is clipped
        numbers = (changed - inter) / slope
    result[~keep] = _cast(numbers, source.dtype)
    return result


def _cast(numbers: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Round finite float64 numbers to an integer type, or clip them to a float type's range."""
    if dtype.kind == "f":
        limits = np.finfo(dtype)
        clipped: np.ndarray = np.clip(numbers, float(limits.min), float(limits.max)).astype(dtype)
        return clipped
    info = np.iinfo(dtype)
    rounded = np.rint(numbers)
    # float(2**63 - 1) is 2**63, which int64 cannot hold: the ends are set as integers
    low, high = rounded <= float(info.min), rounded >= float(info.max)
    result = np.where(low | high, 0, rounded).astype(dtype)
    result[low], result[high] = info.min, info.max
    return result
