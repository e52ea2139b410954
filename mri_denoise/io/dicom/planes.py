"""Find the slices in one DICOM file: its only image, the frames of enhanced MR, or the tiles of a mosaic.

Enhanced MR has the functional groups of DICOM PS3.3 C.7.6.16 and C.8.13.5. The layout and slice normal of a Siemens
mosaic are in its CSA image header, which nibabel reads. A UIH grid has a private VFrame sequence with an item a tile.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.valuerep import format_number_as_ds

from mri_denoise.io.dicom.dataset import (
    PARSE_ERRORS,
    flat_copy,
    image_types,
    is_enhanced,
    is_mosaic,
    number,
    numbers,
    private,
    private_numbers,
    value,
)

_UIH = (0x0065, "Image Private Header")
# groups about other images or the coils, whose attributes would be mistaken for those of the frame
_NOT_FLATTENED = {
    *("ReferencedImageSequence", "DerivationImageSequence", "MRReceiveCoilSequence", "MRTransmitCoilSequence"),
    *("RealWorldValueMappingSequence", "ContrastBolusUsageSequence", "ConversionSourceAttributesSequence"),
}
# attributes of a frame that a classic image names otherwise
_RENAMED = {
    "FrameType": "ImageType",
    "FrameAcquisitionNumber": "AcquisitionNumber",
    "FrameAcquisitionDateTime": "AcquisitionDateTime",
    "NominalCardiacTriggerDelayTime": "TriggerTime",
    "InversionTimes": "InversionTime",
}


class LayoutError(ValueError):
    """Slices that cannot be told apart in a file; the message says why, in a few words."""


@dataclass(frozen=True, kw_only=True)
class Plane:
    """One slice and where it lies in the pixel data of its file.

    Args:
        header: the attributes that hold for this slice, named as in a classic image; no pixel data of its own.
        frame: the frame that holds it, from 0.
        corner: row and column of its first pixel in the frame.
        shape: its rows and columns.
    """

    header: Dataset
    frame: int
    corner: tuple[int, int]
    shape: tuple[int, int]

    def cut(self, frame: np.ndarray) -> np.ndarray:
        """Cut this slice out of a frame; returns a view of shape (rows, columns)."""
        return frame[self.corner[0] : self.corner[0] + self.shape[0], self.corner[1] : self.corner[1] + self.shape[1]]


def planes(ds: Dataset) -> list[Plane]:
    """List the slices of a file.

    Args:
        ds: an MR image, classic or enhanced; pixel data need not be read.

    Returns:
        One plane for a classic image; one a frame, in order; one a tile, row by row.

    Raises:
        LayoutError: Frames or tiles are not described, or their positions are unknown.
        ValueError: The header is damaged; it may be another of `mri_denoise.io.dicom.dataset.PARSE_ERRORS`.
    """
    if is_enhanced(ds):
        return _frames(ds)
    if is_mosaic(ds):
        return _mosaic(ds)
    if "VFRAME" in image_types(ds) or "GRID" in image_types(ds):
        return _grid(ds)
    return [Plane(header=ds, frame=0, corner=(0, 0), shape=_size(ds))]


def _size(ds: Dataset) -> tuple[int, int]:
    return int(number(ds, "Rows") or 0), int(number(ds, "Columns") or 0)


def _frames(ds: Dataset) -> list[Plane]:
    """Make a classic header for each frame: attributes of the instance, then shared groups, then those of the frame."""
    shared, each = value(ds, "SharedFunctionalGroupsSequence"), value(ds, "PerFrameFunctionalGroupsSequence")
    count = int(number(ds, "NumberOfFrames") or 1)
    if not each or len(each) != count:
        raise LayoutError(f"{len(each or ())} functional groups for {count} frames: damaged header")
    base = flat_copy(ds)
    for keyword in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        base.pop(keyword, None)
    _flatten(shared[0] if shared else Dataset(), base)
    found = []
    for index, groups in enumerate(each):
        header = flat_copy(base)
        _flatten(groups, header)
        found.append(Plane(header=header, frame=index, corner=(0, 0), shape=_size(ds)))
    return found


def _flatten(groups: Dataset, into: Dataset) -> None:
    """Put the attributes of functional groups where a classic image has them."""
    for tag in groups.keys():  # a data set iterates over elements
        if tag.is_private or groups[tag].VR != "SQ":
            continue
        group = groups[tag]
        if group.keyword in _NOT_FLATTENED:
            into[tag] = group
            continue
        item = group.value[0] if group.value else Dataset()
        for inner in item.keys():
            # as it is in the file: text that is converted here could not be written back where its encoding is wrong
            into[inner] = item.get_item(inner)
            if (keyword := keyword_for_tag(inner)) in _RENAMED:
                element = item[inner]
                into.add_new(Tag(_RENAMED[keyword]), element.VR, element.value)


def _mosaic(ds: Dataset) -> list[Plane]:
    """Cut a Siemens mosaic into tiles.

    Its Image Position is that of a single slice as large as the whole mosaic, which has the same centre as the true
    first slice (nibabel, "Siemens mosaic": ``ipp + Q (mosaic - tile) / 2``). Slices follow the normal of the CSA
    header.
    """
    count, normal = _csa_layout(ds)
    across = math.ceil(math.sqrt(count))
    corners, shape = _tiling(ds, count, (across, across))
    position, cosines = numbers(ds, "ImagePositionPatient"), numbers(ds, "ImageOrientationPatient")
    spacing = numbers(ds, "PixelSpacing")
    gap = number(ds, "SpacingBetweenSlices") or number(ds, "SliceThickness")
    if (len(position), len(cosines), len(spacing)) != (3, 6, 2) or not gap:
        raise LayoutError("Siemens mosaic without position, orientation, pixel spacing or slice distance")
    row, column = np.array(cosines[:3]), np.array(cosines[3:])
    rows, columns = _size(ds)
    # Pixel Spacing: first between rows (along a column), then between columns (along a row).
    centre_shift = row * spacing[1] * (columns - shape[1]) / 2 + column * spacing[0] * (rows - shape[0]) / 2
    first = np.array(position) + centre_shift
    return [_tile(ds, corner, shape, first + k * gap * normal) for k, corner in enumerate(corners)]


def _csa_layout(ds: Dataset) -> tuple[int, np.ndarray]:
    """Read number and normal of the slices in a mosaic from the CSA image header."""
    missing = "Siemens mosaic without a readable CSA header: number and direction of its slices are unknown"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nibabel calls all its DICOM code experimental
        from nibabel.nicom import csareader

        header = private(ds, 0x0029, "SIEMENS CSA HEADER", 0x10)
        if not isinstance(header, bytes):
            raise LayoutError(missing)
        try:
            tags = csareader.read(header)
            count = csareader.get_scalar(tags, "NumberOfImagesInMosaic")
            normal = csareader.get_vector(tags, "SliceNormalVector", 3)
        except (*PARSE_ERRORS, csareader.CSAError, AssertionError) as error:
            raise LayoutError(missing) from error
    if not count or normal is None or not np.isfinite(normal).all() or abs(np.linalg.norm(normal) - 1) > 0.01:
        raise LayoutError(missing)
    return int(count), np.asarray(normal, dtype=np.float64)


def _grid(ds: Dataset) -> list[Plane]:
    """Cut a UIH grid into tiles; each item of the VFrame sequence has the position of its slice."""
    items = private(ds, *_UIH, 0x51)
    count = private_numbers(ds, *_UIH, 0x50)
    if not items or isinstance(items, bytes) or count[:1] != (len(items),):
        raise LayoutError("UIH grid without a private description of its slices: their number and places are unknown")
    positions = [numbers(item, "ImagePositionPatient") for item in items]
    if any(len(position) != 3 for position in positions):
        raise LayoutError("UIH grid whose slices have no positions")
    corners, shape = _tiling(ds, len(items), _grid_size(ds, len(items)))
    return [_tile(ds, corner, shape, np.array(p)) for corner, p in zip(corners, positions, strict=True)]


def _grid_size(ds: Dataset, count: int) -> tuple[int, int]:
    """Find how many tiles lie below and beside one another in a UIH grid, whose header does not say so.

    UIH leaves out empty rows or columns (20 tiles lie 5 by 4, where a Siemens mosaic has 5 by 5). Of the grids that cut
    the image into whole pixels, the one with the squarest field of view is taken, then the one with fewest empty tiles.
    """
    long = math.ceil(math.sqrt(count))
    short = math.ceil(count / max(long, 1))
    rows, columns = _size(ds)
    height, width = (*numbers(ds, "PixelSpacing"), 1.0, 1.0)[:2]
    fitting = [
        (abs(math.log((rows * height * across) / (columns * width * down))), down * across, (down, across))
        for down, across in dict.fromkeys(((long, long), (long, short), (short, long)))
        if down and rows and columns and rows % down == 0 and columns % across == 0
    ]
    return min(fitting)[2] if fitting else (long, long)


def _tiling(ds: Dataset, count: int, grid: tuple[int, int]) -> tuple[list[tuple[int, int]], tuple[int, int]]:
    """Lay out a grid of tiles, (down, across): their corners, row by row, and the size of a tile."""
    down, across = grid
    rows, columns = _size(ds)
    if down < 1 or rows % down or columns % across:
        raise LayoutError(f"{columns} x {rows} pixels cannot be cut into {across} x {down} tiles: damaged header")
    height, width = rows // down, columns // across
    return [(k // across * height, k % across * width) for k in range(count)], (height, width)


def _tile(ds: Dataset, corner: tuple[int, int], shape: tuple[int, int], position: np.ndarray) -> Plane:
    header = flat_copy(ds)
    # add_new: setting an attribute would change the element that all headers share
    header.add_new(Tag("Rows"), "US", shape[0])
    header.add_new(Tag("Columns"), "US", shape[1])
    header.add_new(Tag("ImagePositionPatient"), "DS", [format_number_as_ds(float(x)) for x in position])
    return Plane(header=header, frame=0, corner=corner, shape=shape)
