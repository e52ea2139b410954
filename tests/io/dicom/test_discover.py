"""Which images come together, in which order, and which are left alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    EncapsulatedPDFStorage,
    EnhancedMRColorImageStorage,
    EnhancedMRImageStorage,
    PositronEmissionTomographyImageStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
    generate_uid,
)

from mri_denoise.io import discover as discover_all
from mri_denoise.io.case import Case, Skip
from mri_denoise.io.dicom.discover import discover
from tests.io.dicom.phantom import AXIAL, Phantom, save, series


def mapping(unit: str) -> Sequence:
    """A real world value mapping to a unit."""
    code, item = Dataset(), Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = unit, "UCUM", unit
    item.MeasurementUnitsCodeSequence = Sequence([code])
    return Sequence([item])


def find(folder: Path) -> tuple[list[Case], list[Skip]]:
    return discover([path for path in folder.rglob("*") if path.is_file()], folder)


def renew(datasets: list[Dataset], **attributes: object) -> list[Dataset]:
    """Other instances of the same series."""
    for ds in datasets:
        ds.SOPInstanceUID = generate_uid(entropy_srcs=[ds.SOPInstanceUID, repr(attributes)])
        for keyword, value in attributes.items():
            setattr(ds, keyword, value)
    return datasets


@pytest.mark.parametrize("reverse", [False, True])
def test_slices_follow_position_not_names_or_numbers(tmp_path: Path, reverse: bool) -> None:
    datasets = series(Phantom(slices=6))
    for k, ds in enumerate(datasets):
        ds.InstanceNumber = [3, 1, 6, 2, 5, 4][k]
    paths = save(datasets, tmp_path)
    files = paths[::-1] if reverse else paths
    (case,), skips = discover(files, tmp_path)
    assert list(case.sources) == paths
    assert case.details.contiguous
    assert skips == []
    assert case.output == Path("5_t2_tse_cor")


def test_two_echoes_are_two_volumes_in_one_derived_series(tmp_path: Path) -> None:
    first = save(series(EchoTime="30", EchoNumbers=1), tmp_path)
    second = save(renew(series(), EchoTime="90", EchoNumbers=2), tmp_path)
    cases, _ = find(tmp_path)
    assert [list(case.sources) for case in cases] == [first, second]
    assert cases[0].output == cases[1].output
    assert not set(cases[0].details.names) & set(cases[1].details.names)
    assert cases[0].label != cases[1].label


@pytest.mark.parametrize(
    ("attributes", "word"),
    [
        ({"ImageType": ["ORIGINAL", "PRIMARY", "P", "ND"]}, "phase"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "P_FFE", "OTHER"]}, "phase"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "R", "ND"]}, "real"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "I"]}, "imaginary"),
        ({"ComplexImageComponent": "PHASE"}, "phase"),
        ({"ImageType": ["DERIVED", "PRIMARY", "DIFFUSION", "ADC", "ND"]}, "diffusion map"),
        ({"ImageType": ["DERIVED", "PRIMARY", "OTHER"], "SeriesDescription": "Apparent Diffusion (mm2/s)"}, "map"),
        ({"RescaleType": "Hz", "RescaleSlope": "1", "RescaleIntercept": "0"}, "map in Hz"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "localizer"),
        ({"ImageType": ["DERIVED", "SECONDARY", "PROJECTION IMAGE", "CSA MIP", "", "CSAPARALLEL", "M"]}, "projection"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "MNIP", "ND", "NORM"]}, "projection"),
        ({"ImageType": ["DERIVED", "SECONDARY", "M", "ND", "SUB"]}, "subtraction"),
        ({"ImageType": ["DERIVED", "PRIMARY", "QMAP", "T1"]}, "quantitative map"),
        ({"SeriesDescription": "AAHead_Scout"}, "localizer"),
        ({"SOPClassUID": SecondaryCaptureImageStorage}, "screenshot"),
        ({"SOPClassUID": EnhancedMRImageStorage, "NumberOfFrames": 1}, "0 functional groups for 1 frames"),
        ({"SOPClassUID": EnhancedMRColorImageStorage}, "colour"),
        ({"SOPClassUID": PositronEmissionTomographyImageStorage, "Modality": "PT"}, "PT, not MR"),
        ({"SOPClassUID": SegmentationStorage, "Modality": "SEG"}, "SEG, not MR"),
        ({"SOPClassUID": EncapsulatedPDFStorage, "Modality": "DOC"}, "DOC, not MR"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "M", "MOSAIC"]}, "Siemens mosaic without a readable CSA header"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "M", "VFRAME"]}, "UIH grid without"),
        ({"RealWorldValueMappingSequence": mapping("Hz")}, "map in Hz (Real World Value Mapping)"),
        ({"NumberOfFrames": 3}, "several frames"),
        ({"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3}, "RGB"),
        ({"BurnedInAnnotation": "YES"}, "burned"),
        ({"Rows": 65535, "Columns": 65535}, "damaged header"),
        ({"SOPClassUID": EnhancedMRImageStorage, "NumberOfFrames": 2**31 - 1}, "damaged header"),
        ({"Rows": 0}, "no rows"),
        ({"BitsStored": 20}, "20 bits stored in 16"),
        ({"HighBit": 15}, "high bit"),
        ({"ModalityLUTSequence": Sequence([])}, "look-up table"),
    ],
)
def test_what_is_not_magnitude_mr_is_skipped_with_its_reason(
    tmp_path: Path, attributes: dict[str, object], word: str
) -> None:
    good = save(series(), tmp_path)
    bad = save(renew(series(Phantom(slices=2), **attributes), SeriesNumber=6), tmp_path)
    (case,), skips = find(tmp_path)
    assert list(case.sources) == good
    assert {skip.source for skip in skips} == set(bad)
    assert all(word in skip.reason and "\n" not in skip.reason for skip in skips)


def test_magnitude_terms_of_vendors_are_not_skipped(tmp_path: Path) -> None:
    for k, values in enumerate((["M", "ND", "NORM"], ["M_FFE", "M", "FFE"], ["PHASE CONTRAST M", "M", "PCA"], ["GDC"])):
        kind = Phantom(slices=2, uid=f"kind{k}")
        save(series(kind, ImageType=["ORIGINAL", "PRIMARY", *values]), tmp_path)
    cases, skips = find(tmp_path)
    assert len(cases) == 4
    assert skips == []


def test_signed_field_map_in_the_series_of_its_magnitude_is_told_apart(tmp_path: Path) -> None:
    magnitude = save(series(Phantom(bits=16, signed=True), WindowCenter="400", WindowWidth="800"), tmp_path)
    field = save(renew(series(Phantom(bits=16, signed=True)), WindowCenter="0", WindowWidth="430"), tmp_path)
    (case,), skips = find(tmp_path)
    assert list(case.sources) == magnitude
    assert {skip.source for skip in skips} == set(field)
    assert "field map" in skips[0].reason


@pytest.mark.parametrize("slices_first", [True, False])
def test_time_points_without_any_timing_follow_instance_number(tmp_path: Path, slices_first: bool) -> None:
    points = [renew(series(), ContentTime=f"10{t:02d}00") for t in range(3)]
    for t, point in enumerate(points):
        for k, ds in enumerate(point):
            ds.InstanceNumber = 1 + (t * 4 + k if slices_first else k * 3 + t)
    paths = [save(point, tmp_path) for point in points]
    cases, _ = find(tmp_path)
    assert [list(case.sources) for case in cases] == paths


def test_slice_missing_in_the_middle_time_point_does_not_mix_time_points(tmp_path: Path) -> None:
    points = [renew(series(), ContentTime=f"10{t:02d}00") for t in range(3)]
    for t, point in enumerate(points):
        for k, ds in enumerate(point):
            ds.InstanceNumber = 1 + t * 4 + k
    del points[1][3]
    paths = [save(point, tmp_path) for point in points]
    cases, _ = find(tmp_path)
    assert [list(case.sources) for case in cases] == paths


@pytest.mark.parametrize(
    "keyword", ["TemporalPositionIdentifier", "AcquisitionNumber", "TriggerTime", "AcquisitionTime", "InversionTime"]
)
def test_repeated_positions_are_divided_by_the_header(tmp_path: Path, keyword: str) -> None:
    points = [renew(series(), **{keyword: value}) for value in ("100000", "200000")]
    paths = [save(point, tmp_path) for point in points]
    cases, _ = find(tmp_path)
    assert sorted(list(case.sources) for case in cases) == sorted(paths)


def test_acquisition_numbers_of_one_regular_stack_stay_together(tmp_path: Path) -> None:
    datasets = series(Phantom(slices=6))
    for k, ds in enumerate(datasets):
        ds.AcquisitionNumber = 1 + k % 2
    paths = save(datasets, tmp_path)
    (case,), _ = find(tmp_path)
    assert list(case.sources) == paths
    assert case.details.contiguous


def test_diffusion_directions_that_change_from_slice_to_slice_are_not_mixed(tmp_path: Path) -> None:
    directions = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
    datasets = series(DiffusionBValue=1000.0)
    for k, ds in enumerate(datasets):
        ds.DiffusionGradientOrientation = list(directions[k // 2])
    save(datasets, tmp_path)
    cases, _ = find(tmp_path)
    assert [case.details.shape[2] for case in cases] == [2, 2]


@pytest.mark.parametrize(
    ("group", "creator", "element", "vr", "values"),
    [
        (0x0019, "SIEMENS MR HEADER", 0x0C, "IS", (0, 1000)),
        (0x2001, "Philips Imaging DD 001", 0x03, "FL", (0.0, 1000.0)),
        (0x0043, "GEMS_PARM_01", 0x39, "IS", ([0, 8, 0, 0], [1000001000, 8, 0, 0])),
    ],
)
def test_private_b_values_divide(
    tmp_path: Path, group: int, creator: str, element: int, vr: str, values: tuple[object, object]
) -> None:
    paths = []
    for value in values:
        datasets = renew(series(), ContentTime=f"10{len(paths):02d}00")
        for ds in datasets:
            ds.private_block(group, creator, create=True).add_new(element, vr, value)
        paths.append(save(datasets, tmp_path))
    cases, _ = find(tmp_path)
    assert sorted(list(case.sources) for case in cases) == sorted(paths)


def test_orientations_sizes_and_patients_are_not_mixed(tmp_path: Path) -> None:
    save(series(), tmp_path)
    save(renew(series(Phantom(orientation=AXIAL)), StudyTime="101113"), tmp_path)
    save(renew(series(Phantom(rows=8)), StudyTime="101114"), tmp_path)
    save(renew(series(), PatientID="P2"), tmp_path)
    cases, _ = find(tmp_path)
    assert [case.details.shape[2] for case in cases] == [4, 4, 4, 4]
    assert len({case.output for case in cases}) == 2  # one derived series for each patient


def test_copies_of_an_instance_keep_the_first_that_decodes(tmp_path: Path) -> None:
    names = ("MR_truncated.dcm", "MR_small.dcm", "MR_small_RLE.dcm", "MR_small_bigendian.dcm")
    files = [Path(str(get_testdata_file(name))) for name in names]
    (case,), skips = discover(files, files[0].parent)
    assert case.sources == (files[1],)
    reasons = {skip.source.name: skip.reason for skip in skips}
    assert "truncated: 8130 of 8192 bytes" in reasons["MR_truncated.dcm"]
    assert "copy of MR_small.dcm" in reasons["MR_small_RLE.dcm"]


def test_other_files_are_named_and_passed_by(tmp_path: Path) -> None:
    paths = save(series(), tmp_path)
    (tmp_path / "notes.txt").write_text("no image at all, but longer than a preamble of 128 bytes" * 4)
    (tmp_path / "empty.dcm").touch()
    whole = paths[0].read_bytes()
    (tmp_path / "cut.dcm").write_bytes(whole[:400])
    ct = Path(str(get_testdata_file("CT_small.dcm")))
    dicomdir = Path(str(get_testdata_file("DICOMDIR", download=False)))
    assert dicomdir.is_file()
    cases, skips = discover([*tmp_path.iterdir(), ct, dicomdir], tmp_path)
    assert [list(case.sources) for case in cases] == [paths]
    reasons = {skip.source.name: skip.reason for skip in skips}
    assert set(reasons) == {"notes.txt", "empty.dcm", "cut.dcm", "CT_small.dcm"}
    assert reasons["notes.txt"] == "not a DICOM file"
    assert reasons["empty.dcm"] == "empty file"
    assert reasons["CT_small.dcm"].startswith("CT, not MR")


def test_missing_pixels_and_missing_geometry(tmp_path: Path) -> None:
    bare, flat, sized = series(Phantom(slices=3))
    del bare.PixelData
    del flat.PixelSpacing
    del sized.ImagePositionPatient
    paths = save([bare, flat, sized], tmp_path)
    (case,), skips = find(tmp_path)
    assert case.sources == (paths[2],)
    assert "each image alone" in case.details.notes[0]
    reasons = {skip.source: skip.reason for skip in skips}
    assert "no pixel data" in reasons[paths[0]]
    assert "no pixel spacing" in reasons[paths[1]]


@pytest.mark.parametrize(
    ("phantom", "drop", "word"),
    [
        (Phantom(slices=6), 2, "unequal slice gaps"),
        (Phantom(tilt=0.8), None, "tilted"),
        (Phantom(gap=24.0), None, "missing"),
    ],
)
def test_irregular_stacks_are_done_slice_by_slice(
    tmp_path: Path, phantom: Phantom, drop: int | None, word: str
) -> None:
    datasets = series(phantom, SpacingBetweenSlices="3")
    if drop is not None:
        del datasets[drop]
    save(datasets, tmp_path)
    (case,), _ = find(tmp_path)
    assert not case.details.contiguous
    assert word in case.details.notes[0]


@pytest.mark.filterwarnings("ignore:Invalid value for VR CS")
def test_cases_and_skips_come_in_natural_order_and_words_of_headers_are_harmless(tmp_path: Path) -> None:
    for k in (10, 9, 1):
        save(series(Phantom(slices=1, uid=f"n{k}"), SeriesNumber=k), tmp_path / "in")
        save(series(Phantom(slices=1, uid=f"o{k}"), Modality="O\x1bT"), tmp_path / f"ct{k}")
    cases, skips = discover_all(tmp_path)
    assert [case.output.name.split("_")[0] for case in cases] == ["1", "9", "10"]
    assert [skip.source.parent.name for skip in skips] == ["ct1", "ct9", "ct10"]
    assert {skip.reason for skip in skips} == {"O T, not MR"}


@pytest.mark.parametrize("spacing", [["0", "0"], ["0.9"], None])
def test_zero_or_missing_spacing_is_refused(tmp_path: Path, spacing: list[str] | None) -> None:
    save(series(Phantom(slices=2), PixelSpacing=spacing), tmp_path)
    cases, skips = find(tmp_path)
    assert not cases
    assert {skip.reason for skip in skips} == {"no pixel spacing: sizes in mm are unknown"}


def test_a_folder_is_never_named_like_a_nifti_file(tmp_path: Path) -> None:
    save(series(Phantom(slices=1), SeriesDescription="scan.nii.gz"), tmp_path)
    cases, _ = find(tmp_path)
    assert cases[0].output == Path("5_scan_nii.gz")


def test_forced_files_are_taken_and_what_is_no_grey_mr_is_not(tmp_path: Path) -> None:
    phase = save(series(Phantom(slices=2), ComplexImageComponent="PHASE"), tmp_path)
    save(series(Phantom(slices=1, uid="rgb"), PhotometricInterpretation="RGB", SamplesPerPixel=3), tmp_path)
    cases, skips = discover(list(tmp_path.iterdir()), tmp_path, force=True)
    assert [set(case.sources) for case in cases] == [set(phase)]
    assert cases[0].details.notes == ("forced: phase image (Complex Image Component)",)
    assert "RGB" in skips[0].reason


def test_names_of_series_are_safe_and_unique(tmp_path: Path) -> None:
    for k in range(2):
        phantom = Phantom(slices=1, uid=f"name{k}")
        save(series(phantom, SeriesDescription="../T1: a*b/c?"), tmp_path)
    cases, _ = find(tmp_path)
    assert [case.output.as_posix() for case in cases] == ["5_T1_a_b_c", "5_T1_a_b_c_2"]


def test_no_name_of_a_series_looks_like_an_option(tmp_path: Path) -> None:
    save(series(Phantom(slices=1), SeriesNumber=None, SeriesDescription="-rf *"), tmp_path)
    assert find(tmp_path)[0][0].output == Path("rf")


def test_no_name_of_a_series_is_longer_than_file_systems_allow(tmp_path: Path) -> None:
    new = renew(series(Phantom(slices=1)), SpecificCharacterSet="ISO_IR 192", SeriesDescription="\U00020bb7" * 64)
    save(new, tmp_path)
    [case], _ = find(tmp_path)
    assert case.output.name.startswith("5_\U00020bb7")
    assert len(f"{case.output}_residual.nii.gz".encode()) < 230


def test_files_beside_a_series_have_its_name_alone_however_deep_it_lies(tmp_path: Path) -> None:
    deep = Path(*[str(k) * 60 for k in range(5)])
    new = renew(series(Phantom(slices=1)), SpecificCharacterSet="ISO_IR 192", SeriesDescription="Köpfe")
    save(new, tmp_path / deep)
    [case], _ = find(tmp_path)
    assert case.output == deep / "5_Köpfe"
    assert case.companion(Path(), "", ".mri-denoise.json") == deep / "5_Köpfe.mri-denoise.json"
