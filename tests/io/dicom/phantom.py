"""Small synthetic MR series, valid enough for dciodvfy, for tests to bend as they need."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
OBLIQUE = (0.96, 0.28, 0.0, -0.168, 0.576, 0.8)


@dataclass(frozen=True)
class Phantom:
    """What a synthetic series looks like.

    Args:
        slices, rows, columns: its size.
        bits: bits stored of 16 allocated.
        signed: two's complement pixels, with values below zero.
        orientation: direction cosines of a row, then of a column.
        gap: mm between slices.
        tilt: mm by which each slice is shifted along its rows against the one before.
        uid: what its series and instance UIDs are made from.
    """

    slices: int = 4
    rows: int = 10
    columns: int = 12
    bits: int = 12
    signed: bool = False
    orientation: Sequence[float] = OBLIQUE
    gap: float = 3.0
    tilt: float = 0.0
    uid: str = "phantom"


def series(phantom: Phantom | None = None, **attributes: object) -> list[Dataset]:
    """Make the data sets of a series, in the order of their positions; `attributes` are set on each."""
    phantom = phantom or Phantom()
    rng = np.random.default_rng(len(phantom.uid) + phantom.slices)
    cosines = np.array(phantom.orientation, dtype=float)
    step = np.cross(cosines[:3], cosines[3:]) * phantom.gap + cosines[:3] * phantom.tilt
    low, high = (-(2 ** (phantom.bits - 1)), 2 ** (phantom.bits - 1)) if phantom.signed else (0, 2**phantom.bits)
    made = []
    for k in range(phantom.slices):
        ds = _instance(phantom, k)
        position = np.array([-12.5, 30.25, 7.0]) + k * step
        ds.ImagePositionPatient = [f"{x:.6f}" for x in position]
        ds.ImageOrientationPatient = [f"{x:g}" for x in cosines]
        pixels = rng.integers(low, high, (phantom.rows, phantom.columns))
        set_stored(ds, pixels)
        for keyword, value in attributes.items():
            setattr(ds, keyword, value)
        made.append(ds)
    return made


def set_stored(ds: Dataset, pixels: np.ndarray) -> None:
    """Put stored values into a data set, with their range."""
    ds.Rows, ds.Columns = pixels.shape
    ds.PixelData = pixels.astype("<i2" if ds.PixelRepresentation else "<u2").tobytes()
    ds["PixelData"].VR = "OW"
    ds.SmallestImagePixelValue, ds.LargestImagePixelValue = int(pixels.min()), int(pixels.max())


def save(datasets: Sequence[Dataset], folder: Path, *, shuffle: bool = True) -> list[Path]:
    """Write data sets to a folder.

    Args:
        datasets: from `series`.
        folder: made if it is missing; files already there are kept.
        shuffle: give names whose order has nothing to do with that of the slices.

    Returns:
        The paths, in the order of `datasets`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    start = len(list(folder.iterdir()))
    order = list(range(start, start + len(datasets)))
    if shuffle:
        random.Random(7).shuffle(order)
    paths = [folder / f"IM{number:04d}" for number in order]
    for ds, path in zip(datasets, paths, strict=True):
        ds.save_as(path, enforce_file_format=True)
    return paths


def _instance(phantom: Phantom, k: int) -> Dataset:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "OTHER"]
    ds.SOPClassUID = MRImageStorage
    ds.SOPInstanceUID = generate_uid(entropy_srcs=[phantom.uid, str(k)])
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = "20200102"
    ds.StudyTime = ds.SeriesTime = ds.AcquisitionTime = ds.ContentTime = "101112"
    ds.AccessionNumber = ds.ReferringPhysicianName = ds.StudyID = ds.PositionReferenceIndicator = ""
    ds.Modality, ds.Manufacturer, ds.SeriesDescription = "MR", "Phantom Works", "t2_tse_cor"
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = "Test^Phantom", "P1", "19700101", "O"
    ds.ScanningSequence, ds.SequenceVariant, ds.ScanOptions, ds.MRAcquisitionType = "SE", "SK", "", "2D"
    ds.SliceThickness, ds.SpacingBetweenSlices = "2.5", f"{phantom.gap:g}"
    ds.RepetitionTime, ds.EchoTime, ds.EchoTrainLength, ds.EchoNumbers = "3000", "85", 1, 1
    ds.PatientPosition, ds.BodyPartExamined = "HFS", "BRAIN"
    ds.StudyInstanceUID = generate_uid(entropy_srcs=["study"])
    ds.SeriesInstanceUID = generate_uid(entropy_srcs=["series", phantom.uid])
    ds.FrameOfReferenceUID = generate_uid(entropy_srcs=["frame"])
    ds.SeriesNumber, ds.AcquisitionNumber, ds.InstanceNumber = 5, 1, k + 1
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.PixelSpacing = ["0.9", "1.1"]
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, phantom.bits, phantom.bits - 1
    ds.PixelRepresentation = int(phantom.signed)
    ds.WindowCenter, ds.WindowWidth = "600", "1200"
    return ds
