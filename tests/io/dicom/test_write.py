"""The derived series: what changes in the header, and that nothing else does."""

from __future__ import annotations

import dataclasses
import os
import subprocess
from collections import Counter
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, MRImageStorage

from mri_denoise.errors import InputError, OutputError
from mri_denoise.io import read
from mri_denoise.io.case import Case
from mri_denoise.io.dicom.discover import discover
from mri_denoise.io.writing import write
from tests.io.derivation import DERIVATION
from tests.io.dicom.phantom import Phantom, save, series, set_stored
from tests.programs import need

CHANGED = {
    *("ImageType", "SOPInstanceUID", "SeriesInstanceUID", "SeriesNumber", "SeriesDescription"),
    *("ContentDate", "ContentTime", "PixelData", "SmallestImagePixelValue", "LargestImagePixelValue"),
}
ADDED = {"DerivationDescription", "DerivationCodeSequence", "SourceImageSequence", "ContributingEquipmentSequence"}


def only_case(files: list[Path]) -> Case:
    (case,), _ = discover(files, files[0].parent)
    return case


def halved(array: np.ndarray) -> np.ndarray:
    return (array * np.float32(0.5)).astype(np.float32)


def derived(datasets: list[Dataset], folder: Path, **options: bool) -> list[Dataset]:
    """Write half of every value; the derived data sets in the order of slices."""
    case = only_case(save(datasets, folder / "in"))
    paths = write(case, halved(read(case).array), folder / "out", DERIVATION, **options)
    return [pydicom.dcmread(path) for path in paths]


def test_header_differs_only_where_it_must(tmp_path: Path) -> None:
    datasets = series()
    for source, result in zip(datasets, derived(datasets, tmp_path), strict=True):
        keywords = {element.keyword for element in source} | {element.keyword for element in result}
        differing = {keyword for keyword in keywords if source.get(keyword) != result.get(keyword)}
        assert differing <= CHANGED | ADDED
        assert {element.keyword for element in result} - {element.keyword for element in source} == ADDED
        for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"):
            assert str(result[keyword].value) == str(source[keyword].value)
        np.testing.assert_array_equal(result.pixel_array, np.rint(source.pixel_array * 0.5))
        assert result.SmallestImagePixelValue == result.pixel_array.min()
        assert result.LargestImagePixelValue == result.pixel_array.max()


def test_provenance_is_complete(tmp_path: Path) -> None:
    datasets = series(ImageType=["ORIGINAL", "PRIMARY", "M", "", "ND"], DerivationDescription="Averaged")
    sources = [ds.SOPInstanceUID for ds in datasets]
    results = derived(datasets, tmp_path)
    assert len({ds.SeriesInstanceUID for ds in results}) == 1
    assert results[0].SeriesInstanceUID != datasets[0].SeriesInstanceUID
    for source, result in zip(sources, results, strict=True):
        assert list(result.ImageType) == ["DERIVED", "SECONDARY", "M", "", "ND"]
        assert result.SOPClassUID == MRImageStorage
        assert result.SOPInstanceUID != source
        assert result.file_meta.MediaStorageSOPInstanceUID == result.SOPInstanceUID
        assert result.preamble == bytes(128)
        assert result.SeriesNumber == 10005
        assert result.SeriesDescription == "t2_tse_cor (denoised)"
        for word in ("Averaged", "AI denoising", "hmad_rician 1.2.3", "11.5 (estimated)", "strength 1"):
            assert word in result.DerivationDescription
        (code,) = result.DerivationCodeSequence
        assert (code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning) == ("113087", "DCM", "Smoothing")
        (image,) = result.SourceImageSequence
        assert (image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID) == (MRImageStorage, source)
        assert image.PurposeOfReferenceCodeSequence[0].CodeValue == "121322"
        (equipment,) = result.ContributingEquipmentSequence
        assert equipment.PurposeOfReferenceCodeSequence[0].CodeValue == "109102"
        assert DERIVATION.weights_sha256 in equipment.ContributionDescription
        assert "0.1.0" in equipment.SoftwareVersions


def test_identifiers_depend_on_source_model_and_settings_only(tmp_path: Path) -> None:
    case = only_case(save(series(), tmp_path / "in"))
    array = read(case).array

    def uids(number: int, **change: object) -> set[str]:
        paths = write(case, array, tmp_path / str(number), dataclasses.replace(DERIVATION, **change))  # type: ignore[arg-type]
        found = [pydicom.dcmread(path, stop_before_pixels=True) for path in paths]
        return {ds.SOPInstanceUID for ds in found} | {ds.SeriesInstanceUID for ds in found}

    first = uids(0)
    assert len(first) == 5
    assert uids(1) == first
    assert uids(2, sigma="12.0 (another volume of the series)") == first
    for k, change in enumerate(({"weights_sha256": "00"}, {"strength": 0.5}, {"settings": "sigma 3"}), start=3):
        assert not uids(k, **change) & first


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", [12, 16])
def test_unchanged_array_gives_the_stored_data_bit_for_bit(tmp_path: Path, bits: int, signed: bool) -> None:
    datasets = series(Phantom(bits=bits, signed=signed), RescaleSlope="0.0010346139", RescaleIntercept="33.901196")
    case = only_case(save(datasets, tmp_path / "in"))
    paths = write(case, read(case).array, tmp_path / "out", DERIVATION)
    assert [pydicom.dcmread(path).PixelData for path in paths] == [ds.PixelData for ds in datasets]


def test_overlay_in_the_upper_bits_is_kept(tmp_path: Path) -> None:
    (ds,) = series(Phantom(slices=1))
    set_stored(ds, ds.pixel_array | 0x8000)
    (result,) = derived([ds], tmp_path)
    words = np.frombuffer(result.PixelData, "<u2")
    assert (words >> 12 == 8).all()
    source = np.frombuffer(ds.PixelData, "<u2") & 0xFFF
    np.testing.assert_array_equal(words & 0xFFF, np.rint(source * 0.5))


@pytest.mark.parametrize(
    ("name", "syntax"),
    [
        ("MR_small.dcm", ExplicitVRLittleEndian),
        ("MR_small_RLE.dcm", ExplicitVRLittleEndian),
        ("MR_small_jp2klossless.dcm", ExplicitVRLittleEndian),
        ("MR_small_jpeg_ls_lossless.dcm", ExplicitVRLittleEndian),
        ("MR_small_bigendian.dcm", ExplicitVRLittleEndian),
        ("MR_small_expb.dcm", ExplicitVRLittleEndian),
        ("MR_small_padded.dcm", ExplicitVRLittleEndian),
        ("MR_small_implicit.dcm", ImplicitVRLittleEndian),
    ],
)
def test_every_encoding_comes_out_uncompressed_and_equal(tmp_path: Path, name: str, syntax: str) -> None:
    case = only_case([Path(str(get_testdata_file(name)))])
    (path,) = write(case, read(case).array, tmp_path / "out", DERIVATION)
    result, expected = pydicom.dcmread(path), pydicom.dcmread(str(get_testdata_file("MR_small.dcm")))
    assert result.file_meta.TransferSyntaxUID == syntax
    assert result.PixelData == expected.PixelData
    assert path.read_bytes()[:128] == bytes(128)
    assert result.PatientName == expected.PatientName
    assert result.PixelSpacing == expected.PixelSpacing


def test_overlays_and_odd_image_types_of_a_real_file(tmp_path: Path) -> None:
    source = pydicom.dcmread(str(get_testdata_file("examples_overlay.dcm")))
    case = only_case([Path(str(get_testdata_file("examples_overlay.dcm")))])
    (path,) = write(case, halved(read(case).array), tmp_path, DERIVATION)
    result = pydicom.dcmread(path)
    assert result[0x60003000].value == source[0x60003000].value
    assert list(result.ImageType)[2:] == list(source.ImageType)[2:]
    assert "IconImageSequence" not in result


def test_private_blocks_icons_and_signatures(tmp_path: Path) -> None:
    datasets = series(Phantom(slices=2))
    for ds in datasets:
        ds.private_block(0x0029, "SIEMENS CSA HEADER", create=True).add_new(0x10, "OB", b"SV10")
        ds.private_block(0x0029, "SIEMENS MEDCOM HEADER2", create=True).add_new(0x60, "LO", "com")
        ds.IconImageSequence = [Dataset()]
        ds.SmallestPixelValueInSeries = 0
        ds.SOPInstanceStatus, ds.SOPAuthorizationDateTime = "AO", "20200102101112"
        ds.LossyImageCompression = "01"
        ds.PatientIdentityRemoved = "YES"
    result = derived(datasets, tmp_path / "a")[0]
    assert [element.value for element in result.group_dataset(0x0029)] == ["SIEMENS MEDCOM HEADER2", "com"]
    assert "IconImageSequence" not in result
    assert "SmallestPixelValueInSeries" not in result
    assert "SOPInstanceStatus" not in result and "SOPAuthorizationDateTime" not in result
    assert (result.LossyImageCompression, result.PatientIdentityRemoved) == ("01", "YES")
    kept = derived(datasets, tmp_path / "b", keep_vendor_headers=True)[0]
    assert kept.private_block(0x0029, "SIEMENS CSA HEADER")[0x10].value == b"SV10"


@pytest.mark.parametrize("charset", ["ISO_IR 192", ["", "ISO 2022 IR 87"]])
def test_long_descriptions_and_character_sets(tmp_path: Path, charset: object) -> None:
    name = "Yamada^Tarou=山田^太郎"
    datasets = series(SpecificCharacterSet=charset, PatientName=name, SeriesDescription="x" * 64)
    result = derived(datasets, tmp_path)[0]
    assert result.PatientName == name
    assert result.SpecificCharacterSet == datasets[0].SpecificCharacterSet
    assert len(result.SeriesDescription) == 64
    assert result.SeriesDescription.endswith("(denoised)")


def test_smallest_value_below_zero_has_a_signed_vr(tmp_path: Path) -> None:
    result = derived(series(Phantom(signed=True)), tmp_path)[0]
    assert result["SmallestImagePixelValue"].VR == "SS"
    assert result.SmallestImagePixelValue == result.pixel_array.min() < 0


def test_volumes_of_a_series_share_a_folder(tmp_path: Path) -> None:
    both = series(EchoTime="30") + series(Phantom(uid="more"), EchoTime="90", SeriesInstanceUID="1.2.3")
    for ds in both:
        ds.SeriesInstanceUID = "1.2.3"
    cases, _ = discover(save(both, tmp_path / "in"), tmp_path / "in")
    results = []
    for case in cases:
        results += write(case, read(case).array, tmp_path / "out" / case.output, DERIVATION)
    assert len(cases) == 2
    assert len({pydicom.dcmread(path).SeriesInstanceUID for path in results}) == 1
    assert sorted(p.name for p in (tmp_path / "out" / cases[0].output).iterdir()) == sorted(p.name for p in results)


def test_nothing_is_left_or_replaced_on_failure(tmp_path: Path) -> None:
    paths = save(series(), tmp_path / "in")
    case = only_case(paths)
    array = read(case).array
    before = [path.read_bytes() for path in paths]
    with pytest.raises(OutputError, match="is an input"):
        write(case, array, tmp_path / "in", DERIVATION)
    assert [path.read_bytes() for path in paths] == before
    with pytest.raises(InputError, match="shape"):
        write(case, array[..., :2], tmp_path / "out", DERIVATION)
    paths[-1].write_bytes(before[-1][:-50])
    with pytest.raises(InputError, match=paths[-1].name):
        write(case, array, tmp_path / "out", DERIVATION)
    (tmp_path / "file").touch()
    paths[-1].write_bytes(before[-1])
    with pytest.raises(OutputError, match="cannot be written"):
        write(case, array, tmp_path / "file" / "out", DERIVATION)
    assert sorted(os.listdir(tmp_path)) == ["file", "in"]


def test_dciodvfy_has_nothing_new_to_say(tmp_path: Path) -> None:
    program = need("dciodvfy")

    def messages(path: Path) -> Counter[str]:
        done = subprocess.run([program, str(path)], capture_output=True, text=True, errors="replace", check=False)
        return Counter(done.stderr.splitlines())

    sources = [*save(series(Phantom(slices=2)), tmp_path / "in"), Path(str(get_testdata_file("MR_small_implicit.dcm")))]
    cases, _ = discover(sources, tmp_path / "in")
    for case in cases:
        results = write(case, halved(read(case).array), tmp_path / "out", DERIVATION)
        for source, result in zip(case.sources, results, strict=True):
            assert messages(source)["MRImage"] == 1  # the program really looked at it
            assert messages(result) - messages(source) == Counter()


def test_dcm2niix_finds_the_same_geometry(tmp_path: Path) -> None:
    program = need("dcm2niix")
    case = only_case(save(series(), tmp_path / "in"))
    write(case, halved(read(case).array), tmp_path / "out", DERIVATION)
    for folder in ("in", "out"):
        command = [program, "-z", "n", "-b", "n", "-f", f"nii_{folder}", "-o", str(tmp_path), str(tmp_path / folder)]
        subprocess.run(command, check=True, capture_output=True)
    source, result = nib.load(tmp_path / "nii_in.nii"), nib.load(tmp_path / "nii_out.nii")
    np.testing.assert_array_equal(source.affine, result.affine)
    np.testing.assert_array_equal(np.rint(np.asarray(source.dataobj) * 0.5), np.asarray(result.dataobj))
