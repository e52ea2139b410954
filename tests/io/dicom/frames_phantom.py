"""Small synthetic enhanced multi-frame, mosaic and grid objects, valid enough for dciodvfy, for tests to bend."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import EnhancedMRImageStorage, LegacyConvertedEnhancedMRImageStorage, generate_uid

from tests.io.dicom.phantom import OBLIQUE, Phantom, series, set_stored


@dataclass(frozen=True)
class Frame:
    """One frame of an enhanced object.

    Args:
        z: number of its slice along the normal.
        time: temporal position, from 1.
        kind: values 3 and 4 of Frame Type.
        component: Complex Image Component.
        echo: effective echo time in ms.
        b_value: of diffusion in s/mm2, or None.
        slope: Rescale Slope.
        intercept: Rescale Intercept.
        stack: Stack ID.
    """

    z: int
    time: int = 1
    kind: tuple[str, str] = ("T2", "NONE")
    component: str = "MAGNITUDE"
    echo: float = 30.0
    b_value: float | None = None
    slope: float = 1.0
    intercept: float = 0.0
    stack: int = 1


def frames(slices: int = 4, **more: object) -> list[Frame]:
    """The frames of one volume."""
    return [Frame(z, **more) for z in range(slices)]  # type: ignore[arg-type]


def enhanced(
    plan: Sequence[Frame],
    phantom: Phantom | None = None,
    *,
    number: int = 1,
    legacy: bool = False,
    shared_type: bool = False,
) -> Dataset:
    """Make one enhanced MR instance.

    Args:
        plan: its frames, in the order of the file.
        phantom: size, bits and orientation; its pixel values are random.
        number: Instance Number, which also enters the UID.
        legacy: Legacy Converted Enhanced MR.
        shared_type: put the MR Image Frame Type of the first frame into the shared groups.
    """
    phantom = phantom or Phantom()
    (ds,) = series(Phantom(**{**vars(phantom), "slices": 1}))
    _to_enhanced(ds, plan, number, legacy)
    cosines = np.array(phantom.orientation, dtype=float)
    normal = np.cross(cosines[:3], cosines[3:])
    shared = _shared(ds, cosines)
    each = []
    for frame in plan:
        position = np.array([-12.5, 30.25, 7.0]) + frame.z * phantom.gap * normal
        each.append(_groups(frame, position, legacy))
    if shared_type:
        shared.MRImageFrameTypeSequence = each[0].MRImageFrameTypeSequence
        for groups in each:
            del groups.MRImageFrameTypeSequence
    ds.SharedFunctionalGroupsSequence = Items([shared])
    ds.PerFrameFunctionalGroupsSequence = Items(each)
    rng = np.random.default_rng(number)
    low, high = (-(2 ** (phantom.bits - 1)), 2 ** (phantom.bits - 1)) if phantom.signed else (0, 2**phantom.bits)
    pixels = rng.integers(low, high, (len(plan), phantom.rows, phantom.columns))
    ds.PixelData = pixels.astype("<i2" if phantom.signed else "<u2").tobytes()
    ds["PixelData"].VR = "OW"
    return ds


def _to_enhanced(ds: Dataset, plan: Sequence[Frame], number: int, legacy: bool) -> None:
    """Replace the attributes of a classic image by those of enhanced MR."""
    for keyword in (
        *("ScanningSequence", "SequenceVariant", "ScanOptions", "SliceThickness", "SpacingBetweenSlices"),
        *("RepetitionTime", "EchoTime", "EchoTrainLength", "EchoNumbers", "ImagePositionPatient", "PixelSpacing"),
        *("ImageOrientationPatient", "WindowCenter", "WindowWidth", "SmallestImagePixelValue", "AcquisitionDate"),
        *("LargestImagePixelValue", "AcquisitionTime", "AcquisitionNumber", "MRAcquisitionType"),
    ):
        del ds[keyword]
    ds.SOPClassUID = LegacyConvertedEnhancedMRImageStorage if legacy else EnhancedMRImageStorage
    ds.SOPInstanceUID = generate_uid(entropy_srcs=[ds.SeriesInstanceUID, "enhanced", str(number)])
    ds.InstanceNumber, ds.NumberOfFrames = number, len(plan)
    ds.AcquisitionDateTime, ds.AcquisitionDuration = "20200102101112", 60.0
    kinds = {frame.kind for frame in plan}
    ds.ImageType = ["ORIGINAL", "PRIMARY", *(next(iter(kinds)) if len(kinds) == 1 else ("T2", "MIXED"))]
    components = {frame.component for frame in plan}
    ds.ComplexImageComponent = next(iter(components)) if len(components) == 1 else "MIXED"
    ds.PixelPresentation, ds.VolumetricProperties = "MONOCHROME", "VOLUME"
    ds.VolumeBasedCalculationTechnique, ds.AcquisitionContrast = "NONE", "T2"
    ds.ContentQualification, ds.BurnedInAnnotation, ds.LossyImageCompression = "PRODUCT", "NO", "00"
    ds.PresentationLUTShape, ds.ResonantNucleus, ds.MagneticFieldStrength = "IDENTITY", "1H", "3"
    ds.KSpaceFiltering, ds.ApplicableSafetyStandardAgency = "NONE", "IEC"
    ds.ManufacturerModelName, ds.DeviceSerialNumber, ds.SoftwareVersions = "Model", "1", "1.0"
    ds.AcquisitionContextSequence = Items([])
    if not legacy:
        _pulse_sequence(ds)
    organization = generate_uid(entropy_srcs=["dimensions"])
    ds.DimensionOrganizationSequence = Items([_item(DimensionOrganizationUID=organization)])
    pointers = (0x00209056, 0x00209057, 0x00209128)
    ds.DimensionIndexSequence = Items(
        _item(DimensionOrganizationUID=organization, DimensionIndexPointer=p, FunctionalGroupPointer=0x00209111)
        for p in pointers
    )


def _pulse_sequence(ds: Dataset) -> None:
    """The MR Pulse Sequence module."""
    ds.MRAcquisitionType = "2D"
    ds.PulseSequenceName, ds.EchoPulseSequence, ds.MultipleSpinEcho = "tse", "SPIN", "NO"
    ds.MultiPlanarExcitation, ds.PhaseContrast, ds.TimeOfFlightContrast = "NO", "NO", "NO"
    ds.EchoPlanarPulseSequence, ds.SteadyStatePulseSequence, ds.SaturationRecovery = "NO", "NONE", "NO"
    ds.SpectrallySelectedSuppression, ds.OversamplingPhase = "NONE", "NONE"
    ds.GeometryOfKSpaceTraversal, ds.SegmentedKSpaceTraversal = "RECTILINEAR", "SINGLE"
    ds.RectilinearPhaseEncodeReordering, ds.NumberOfKSpaceTrajectories = "LINEAR", 1


def _shared(ds: Dataset, cosines: np.ndarray) -> Dataset:
    """Functional groups that hold for all frames; the acquisition is for enhanced MR proper."""
    shared = _item(
        PixelMeasuresSequence=[_item(PixelSpacing=["0.9", "1.1"], SliceThickness="2.5")],
        PlaneOrientationSequence=[_item(ImageOrientationPatient=[f"{x:g}" for x in cosines])],
    )
    if ds.SOPClassUID == LegacyConvertedEnhancedMRImageStorage:
        return shared
    brain = _item(CodeValue="T-A0100", CodingSchemeDesignator="SRT", CodeMeaning="Brain")
    shared.FrameAnatomySequence = [_item(AnatomicRegionSequence=[brain], FrameLaterality="U")]
    shared.MRTimingAndRelatedParametersSequence = [
        _item(
            RepetitionTime=3000.0,
            FlipAngle=90.0,
            EchoTrainLength=8,
            RFEchoTrainLength=8,
            GradientEchoTrainLength=0,
            GradientOutputType="DB_DT",
            GradientOutput=1.0,
            SpecificAbsorptionRateSequence=[
                _item(SpecificAbsorptionRateDefinition="IEC_HEAD", SpecificAbsorptionRateValue=0.1)
            ],
            OperatingModeSequence=[_item(OperatingModeType="GRADIENT", OperatingMode="IEC_NORMAL")],
        )
    ]
    shared.MRFOVGeometrySequence = [
        _item(
            InPlanePhaseEncodingDirection="ROW",
            MRAcquisitionFrequencyEncodingSteps=12,
            MRAcquisitionPhaseEncodingStepsInPlane=10,
            PercentSampling=100.0,
            PercentPhaseFieldOfView=100.0,
        )
    ]
    shared.MRModifierSequence = [
        _item(
            InversionRecovery="NO",
            FlowCompensation="NONE",
            T2Preparation="NO",
            SpectrallySelectedExcitation="NONE",
            SpatialPresaturation="NONE",
            PartialFourier="NO",
            ParallelAcquisition="NO",
        )
    ]
    shared.MRImagingModifierSequence = [
        _item(
            MagnetizationTransfer="NONE",
            BloodSignalNulling="NO",
            Tagging="NONE",
            TransmitterFrequency=123.2,
            PixelBandwidth=150.0,
        )
    ]
    shared.MRReceiveCoilSequence = [
        _item(ReceiveCoilName="H", ReceiveCoilManufacturerName="", ReceiveCoilType="VOLUME", QuadratureReceiveCoil="NO")
    ]
    shared.MRTransmitCoilSequence = [
        _item(TransmitCoilName="B", TransmitCoilManufacturerName="", TransmitCoilType="BODY")
    ]
    shared.MRAveragesSequence = [_item(NumberOfAverages=1.0)]
    return shared


def _groups(frame: Frame, position: np.ndarray, legacy: bool) -> Dataset:
    """Functional groups of one frame."""
    kind = _item(
        FrameType=["ORIGINAL", "PRIMARY", *frame.kind],
        PixelPresentation="MONOCHROME",
        VolumetricProperties="VOLUME",
        VolumeBasedCalculationTechnique="NONE",
        ComplexImageComponent=frame.component,
        AcquisitionContrast="T2",
    )
    content = _item(
        FrameReferenceDateTime="20200102101112",
        FrameAcquisitionDateTime="20200102101112",
        FrameAcquisitionDuration=60000.0,
        FrameAcquisitionNumber=1,
        StackID=str(frame.stack),
        InStackPositionNumber=frame.z + 1,
        TemporalPositionIndex=frame.time,
        DimensionIndexValues=[frame.stack, frame.z + 1, frame.time],
    )
    transform = _item(RescaleSlope=f"{frame.slope:g}", RescaleIntercept=f"{frame.intercept:g}", RescaleType="US")
    groups = _item(
        MRImageFrameTypeSequence=Items([kind]),
        FrameContentSequence=Items([content]),
        PlanePositionSequence=Items([_item(ImagePositionPatient=[f"{x:.6f}" for x in position])]),
        PixelValueTransformationSequence=Items([transform]),
        FrameVOILUTSequence=Items([_item(WindowCenter="600", WindowWidth="1200")]),
    )
    if legacy:
        converted = _item(EchoTime=f"{frame.echo:g}", ScanningSequence="SE")
        groups.UnassignedPerFrameConvertedAttributesSequence = Items([converted])
    else:
        groups.MREchoSequence = Items([_item(EffectiveEchoTime=frame.echo)])
    if frame.b_value is not None:
        kind_of = "ISOTROPIC" if frame.b_value else "NONE"
        groups.MRDiffusionSequence = [_item(DiffusionBValue=frame.b_value, DiffusionDirectionality=kind_of)]
    return groups


def mosaic(
    volume: np.ndarray,
    *,
    orientation: Sequence[float] = OBLIQUE,
    flipped: bool = False,
    number: int = 1,
    gap: float = 3.0,
) -> Dataset:
    """Make a Siemens mosaic.

    Args:
        volume: stored values, shape (slices, rows, columns).
        orientation: direction cosines of a row, then of a column.
        flipped: whether slices run against the normal of rows and columns.
        number: Instance Number, which also enters the UID.
        gap: mm between slices.
    """
    count, rows, columns = volume.shape
    across = math.ceil(math.sqrt(count))
    image = tiled(volume, across, across)
    (ds,) = series(Phantom(slices=1, orientation=orientation, gap=gap))
    set_stored(ds, image)
    ds.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]
    ds.Manufacturer = "SIEMENS"
    ds.SOPInstanceUID = generate_uid(entropy_srcs=["mosaic", str(number)])
    ds.InstanceNumber = ds.AcquisitionNumber = number
    ds.SpacingBetweenSlices = f"{gap:g}"
    cosines = np.array(orientation, dtype=float)
    normal = np.cross(cosines[:3], cosines[3:]) * (-1 if flipped else 1)
    vector = ("FD", [f"{x:.8f}" for x in normal])
    matrix = ("SH", [f"{rows}p*{columns}"])
    number_of_tiles = ("US", [str(count)])
    header = csa(
        {"NumberOfImagesInMosaic": number_of_tiles, "SliceNormalVector": vector, "AcquisitionMatrixText": matrix}
    )
    block = ds.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
    block.add_new(0x08, "CS", "IMAGE NUM 4")
    block.add_new(0x10, "OB", header)
    ds.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0A, "US", count)
    return ds


def csa(tags: dict[str, tuple[str, list[str]]]) -> bytes:
    """Encode a Siemens CSA2 header, as nibabel's documentation describes it."""
    parts = [b"SV10\4\3\2\1", struct.pack("<2I", len(tags), 77)]
    for name, (vr, values) in tags.items():
        parts.append(struct.pack("<64si4s3i", name.encode(), len(values), vr.encode(), 0, len(values), 77))
        for value in values:
            text = value.encode() + b"\0"
            parts.append(struct.pack("<4i", len(text), len(text), 77, len(text)) + text + b"\0" * (-len(text) % 4))
    return b"".join(parts)


def tiled(volume: np.ndarray, down: int, across: int) -> np.ndarray:
    """Lay out slices, shape (slices, rows, columns), as tiles of one image, row by row."""
    _, rows, columns = volume.shape
    image = np.zeros((down * rows, across * columns), volume.dtype)
    for k, plane in enumerate(volume):
        row, column = k // across * rows, k % across * columns
        image[row : row + rows, column : column + columns] = plane
    return image


def grid(
    volume: np.ndarray,
    positions: np.ndarray,
    orientation: Sequence[float] = OBLIQUE,
    size: tuple[int, int] | None = None,
) -> Dataset:
    """Make a UIH grid: `volume` (slices, rows, columns) tiled, the position of each slice in the VFrame sequence.

    `size` is how many tiles lie below and beside one another; square by default.
    """
    ds = mosaic(volume, orientation=orientation)
    if size is not None:
        set_stored(ds, tiled(volume, *size))
    del ds[0x00290010], ds[0x00291008], ds[0x00291010], ds[0x00190010], ds[0x0019100A]
    ds.ImageType, ds.Manufacturer = ["ORIGINAL", "PRIMARY", "M", "VFRAME"], "UIH"
    block = ds.private_block(0x0065, "Image Private Header", create=True)
    block.add_new(0x50, "DS", str(len(volume)))
    block.add_new(0x51, "SQ", Items(_item(ImagePositionPatient=[f"{x:.6f}" for x in p]) for p in positions))
    return ds


def _item(**attributes: object) -> Dataset:
    item = Dataset()
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    return item
