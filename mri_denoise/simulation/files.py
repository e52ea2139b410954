"""Write a phantom as a NIfTI file or a DICOM series, with headers as complete as those of a scanner."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage, generate_uid

from mri_denoise.io.files import write_beside
from mri_denoise.simulation.head import phantom_affine

NIFTI_SCALE = 1000.0
DICOM_SCALE = 3000.0
_SLOPE, _INTERCEPT = 0.5, 7.0
_STUDY_DATE, _STUDY_TIME = "20250102", "101112"


def write_phantom_nifti(path: Path, array: np.ndarray, voxel: tuple[float, float, float]) -> Path:
    """Write an array as int16 NIfTI-1 and set every header field that tools tend to lose.

    The file's real-world values are ``array * 1000`` in steps of 0.5 (slope 0.5, intercept 7).

    Args:
        path: ``.nii`` or ``.nii.gz``.
        array: shape (X, Y, Z) or (X, Y, Z, T), about [0, 1] (clipped outside -16 to 16); the axes point to the right,
            forward and up.
        voxel: millimetres along x, y and z.

    Returns:
        the path.
    """
    affine = phantom_affine(array.shape[:3], voxel)
    limits = np.iinfo(np.int16)
    stored = np.rint((array * NIFTI_SCALE - _INTERCEPT) / _SLOPE).clip(limits.min, limits.max).astype(np.int16)
    image = nib.Nifti1Image(stored, affine)
    image.set_sform(affine, code=3)
    image.set_qform(affine, code=1)
    header = image.header
    header.set_slope_inter(_SLOPE, _INTERCEPT)
    header.set_xyzt_units("mm", "sec")
    header["pixdim"][1 + array.ndim :] = 1
    header.set_dim_info(freq=1, phase=0, slice=2)
    header["slice_start"], header["slice_end"] = 0, array.shape[2] - 1
    header["slice_duration"], header["slice_code"], header["toffset"] = 0.04, 3, 1.5
    header["cal_min"], header["cal_max"] = 0, NIFTI_SCALE
    header["descrip"], header["aux_file"] = b"mri-denoise head phantom", b"phantom"
    header.set_intent("estimate", name="phantom")
    header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"synthetic: no person was scanned"))
    with write_beside(path) as partial:
        nib.save(image, partial)
    return path


def write_phantom_dicom(
    folder: Path, array: np.ndarray, spacing: tuple[float, float, float], seed: int = 0
) -> list[Path]:
    """Write an array as a classic axial MR series (MR Image Storage, PS3.3 A.4), one file for each slice.

    Stored values are ``array * 3000``, 12 bits unsigned, clipped to 0..4095. Patient and study are synthetic. Columns
    run to the patient's left and rows to the back: x and y of the array are reversed, and its place is kept.

    Args:
        folder: made if it does not exist.
        array: shape (X, Y, Z), about [0, 1]; the axes point to the right, forward and up.
        spacing: millimetres along x, y and z.
        seed: of the unique identifiers: the same seed gives the same series.

    Returns:
        the files in the order of the slices, from bottom to top.
    """
    affine = phantom_affine((array.shape[0], array.shape[1], array.shape[2]), spacing)
    stored = np.rint(array * DICOM_SCALE).clip(0, 4095).astype("<u2")[::-1, ::-1]
    # The first pixel is the voxel of largest x and y; DICOM's x and y point to the left and back.
    corner = affine @ [array.shape[0] - 1, array.shape[1] - 1, 0, 1]
    paths = []
    for index in range(array.shape[2]):
        dataset = _slice_header(index, spacing, seed)
        dataset.ImagePositionPatient = [_ds(-corner[0]), _ds(-corner[1]), _ds(corner[2] + index * spacing[2])]
        dataset.SliceLocation = _ds(corner[2] + index * spacing[2])
        pixels = np.ascontiguousarray(stored[:, :, index].T)
        dataset.Rows, dataset.Columns = pixels.shape
        dataset.SmallestImagePixelValue, dataset.LargestImagePixelValue = int(pixels.min()), int(pixels.max())
        dataset.PixelData = pixels.tobytes()
        path = folder / f"IM{index + 1:04d}.dcm"
        with write_beside(path) as partial:
            dataset.save_as(partial, enforce_file_format=True)
        paths.append(path)
    return paths


def _ds(value: float) -> float:
    """A number that fits into a decimal string of 16 characters: millimetres, rounded to nanometres."""
    return round(float(value), 6) + 0.0  # never -0.0


def _uid(seed: int, *parts: object) -> UID:
    return generate_uid(entropy_srcs=["mri-denoise phantom", str(seed), *(str(part) for part in parts)])


def _slice_header(index: int, spacing: tuple[float, float, float], seed: int) -> FileDataset:
    """All attributes of a slice but its position and pixels."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = MRImageStorage
    meta.MediaStorageSOPInstanceUID = _uid(seed, "instance", index)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.update(_identity(index, seed))
    dataset.update(_acquisition(spacing))
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.WindowCenter, dataset.WindowWidth = DICOM_SCALE / 2, DICOM_SCALE
    return dataset


def _identity(index: int, seed: int) -> Dataset:
    """Patient, study, series, frame of reference and equipment."""
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.SOPClassUID, dataset.SOPInstanceUID = MRImageStorage, _uid(seed, "instance", index)
    dataset.PatientName, dataset.PatientID = "PHANTOM^HEAD", f"PHANTOM-{seed}"
    dataset.PatientBirthDate, dataset.PatientSex, dataset.PatientAge = "19700101", "O", "055Y"
    dataset.PatientWeight = 70
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = _uid(seed, "study"), _uid(seed, "series")
    dataset.FrameOfReferenceUID, dataset.PositionReferenceIndicator = _uid(seed, "frame"), ""
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = _STUDY_DATE
    dataset.StudyTime = dataset.SeriesTime = dataset.AcquisitionTime = dataset.ContentTime = _STUDY_TIME
    dataset.StudyID, dataset.AccessionNumber, dataset.ReferringPhysicianName = "1", "", ""
    dataset.StudyDescription, dataset.SeriesDescription = "Head phantom", "phantom axial"
    dataset.ProtocolName, dataset.BodyPartExamined = "phantom", "HEAD"
    dataset.Modality, dataset.SeriesNumber, dataset.AcquisitionNumber = "MR", 2, 1
    dataset.InstanceNumber = index + 1
    dataset.Manufacturer, dataset.ManufacturerModelName = "mri-denoise", "head phantom"
    dataset.InstitutionName, dataset.StationName = "none", "PHANTOM"
    dataset.DeviceSerialNumber, dataset.SoftwareVersions = "0", "1"
    return dataset


def _acquisition(spacing: tuple[float, float, float]) -> Dataset:
    """The MR Image module (PS3.3 C.8.3.1), and the plane without its position."""
    dataset = Dataset()
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "OTHER", "M"]
    dataset.ScanningSequence, dataset.SequenceVariant = ["GR", "IR"], ["SP", "MP"]
    dataset.ScanOptions, dataset.MRAcquisitionType, dataset.SequenceName = "", "3D", "phantom"
    dataset.RepetitionTime, dataset.EchoTime, dataset.InversionTime, dataset.FlipAngle = 2300, 2.9, 900, 9
    dataset.EchoTrainLength, dataset.EchoNumbers, dataset.NumberOfAverages = 1, 1, 1
    dataset.MagneticFieldStrength, dataset.ImagingFrequency, dataset.ImagedNucleus = 3, 123.2, "1H"
    dataset.PixelBandwidth, dataset.InPlanePhaseEncodingDirection = 240, "ROW"
    dataset.PatientPosition, dataset.ImageOrientationPatient = "HFS", [1, 0, 0, 0, 1, 0]
    dataset.PixelSpacing = [_ds(spacing[1]), _ds(spacing[0])]
    dataset.SliceThickness = dataset.SpacingBetweenSlices = _ds(spacing[2])
    return dataset
