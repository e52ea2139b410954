"""b-value and direction of a diffusion image, from the standard attributes or the vendors' private ones."""

from __future__ import annotations

from pydicom.dataset import Dataset

from mri_denoise.io.dicom.dataset import number, numbers, private_numbers, value

Diffusion = tuple[int, tuple[float, ...]]
"""b-value in s/mm2; direction as it is written, empty where the b-value is 0."""
# b-value and direction in the vendors' private attributes, as their DICOM conformance statements describe them
_PRIVATE = (
    ((0x0019, "SIEMENS MR HEADER", 0x0C), (0x0019, "SIEMENS MR HEADER", (0x0E,))),
    ((0x0043, "GEMS_PARM_01", 0x39), (0x0019, "GEMS_ACQU_01", (0xBB, 0xBC, 0xBD))),
    ((0x2001, "Philips Imaging DD 001", 0x03), (0x2005, "Philips MR Imaging DD 001", (0xB0, 0xB1, 0xB2))),
    ((0x0065, "Image Private Header", 0x09), (0x0065, "Image Private Header", (0x37,))),
)


def diffusion_of(ds: Dataset) -> Diffusion | None:
    """Read what weights a diffusion image.

    Args:
        ds: the header of a slice.

    Returns:
        b-value and direction; None if the header has no b-value.
    """
    gradient = value(ds, "DiffusionGradientDirectionSequence")
    direction = numbers(gradient[0] if gradient else ds, "DiffusionGradientOrientation")
    b_value = number(ds, "DiffusionBValue")
    for (group, creator, element), (other, owner, elements) in _PRIVATE:
        if b_value is not None:
            break
        b_value = next(iter(private_numbers(ds, group, creator, element)), None)
        direction = tuple(part for one in elements for part in private_numbers(ds, other, owner, one))
    if b_value is None:
        return None
    b = round(b_value % 1e9)  # GE adds 10^9 to the b-values of some acquisitions.
    return (b, tuple(round(part, 3) + 0.0 for part in direction) if b else ())
