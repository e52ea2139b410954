"""Volumes: every header byte stays, unchanged voxels keep their stored number, bad files get one line."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nibabel.nifti1 import Nifti1PairHeader

from mri_denoise.errors import InputError, OutputError
from mri_denoise.io import Case, read
from mri_denoise.io.nifti.image import read_array
from mri_denoise.io.nifti.maps import open_map
from mri_denoise.io.writing import write as write_any
from tests.io.derivation import DERIVATION

INTEGERS = ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8"]
DTYPES = [*INTEGERS, "f4", "f8"]
SHAPE = (5, 4, 3)


def case_of(*paths: Path) -> Case:
    return Case(kind="nifti", sources=paths, output=Path(paths[0].name), label=paths[0].name)


def write(case: Case, array: np.ndarray, destination: Path) -> list[Path]:
    return write_any(case, array, destination, DERIVATION)


def unpacked(path: Path) -> bytes:
    data = path.read_bytes()
    return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


def put(path: Path, data: bytes) -> Path:
    path.write_bytes(gzip.compress(data) if path.suffix in (".gz", ".mgz") else data)
    return path


def stored_numbers(dtype: str, shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        return generator.normal(0, 1000, shape).astype(dtype)
    info = np.iinfo(dtype)
    return generator.integers(info.min, info.max, shape, dtype=np.dtype(dtype).newbyteorder("="), endpoint=True)


def rich_header(
    version: int, endianness: str, dtype: str, shape: tuple[int, ...], slope: float = 0.5, inter: float = 7.0
) -> nib.Nifti1Header:
    """Fill every field that a header library is apt to lose."""
    header = (nib.Nifti1Header, nib.Nifti2Header)[version - 1](endianness=endianness)
    header.set_data_shape(shape)
    header.set_data_dtype(dtype)
    turn = np.array([[0.0, -1.1, 0.3, 10], [0.9, 0.2, 0, -20], [0.1, 0, 3.0, 30], [0, 0, 0, 1]])
    header.set_sform(turn, code=3)  # with shear
    header.set_qform(np.diag([-0.9, 1.1, 3.0, 1]), code=1)
    header.set_xyzt_units("mm", "sec")
    header.set_dim_info(freq=1, phase=0, slice=2)
    header.set_intent("estimate", (), name="an intent")
    for field, value in {
        "scl_slope": slope,
        "scl_inter": inter,
        "descrip": b"a description of eighty bytes " * 2,
        "aux_file": b"aux",
        "cal_min": 3,
        "cal_max": 1234,
        "toffset": 2.5,
        "slice_code": 3,
        "slice_start": 0,
        "slice_end": 2,
        "slice_duration": 0.07,
        "intent_p1": 11,
    }.items():
        header[field] = value
    if version == 1:
        for field, value in {"regular": b"r", "glmax": 99, "glmin": -5, "db_name": b"db", "session_error": 4}.items():
            header[field] = value
    return header


def nifti_bytes(header: nib.Nifti1Header, stored: np.ndarray, tail: bytes = b"") -> bytes:
    """Lay out a single file by hand: header, extension, voxels, tail."""
    order = "big" if header.endianness == ">" else "little"
    extension = (32).to_bytes(4, order) + (6).to_bytes(4, order) + b"kept as it is".ljust(24, b"\0")
    header["vox_offset"] = header.single_vox_offset + len(extension)
    voxels = stored.astype(stored.dtype.newbyteorder(header.endianness)).tobytes(order="F")
    return header.binaryblock + b"\1\0\0\0" + extension + voxels + tail


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("endianness", ["<", ">"])
@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_header_stays_field_by_field(tmp_path: Path, version: int, endianness: str, ending: str, dtype: str) -> None:
    stored = stored_numbers(dtype, SHAPE)
    header = rich_header(version, endianness, dtype, SHAPE)
    source = put(tmp_path / f"in{ending}", nifti_bytes(header, stored, tail=b"after the voxels"))
    volume = read(case_of(source))
    assert volume.array.dtype == np.float32 and volume.array.shape == (1, *SHAPE)
    expected = stored.astype(np.float64) * 0.5 + 7.0
    np.testing.assert_array_equal(volume.array[0], expected.astype(np.float32))
    np.testing.assert_allclose(volume.affine, header.get_sform())
    assert volume.slice_axis == 2 and volume.contiguous and volume.white_level is None

    same = write(case_of(source), volume.array, tmp_path / f"same{ending}")
    assert unpacked(same[0]) == unpacked(source)

    smooth = volume.array * np.float32(0.9) + np.float32(1)
    (out,) = write(case_of(source), smooth, tmp_path / f"out{ending}")
    before, after = unpacked(source), unpacked(out)
    names = header.structarr.dtype.names
    old = np.frombuffer(before, header.structarr.dtype, count=1)[0]
    new = np.frombuffer(after, header.structarr.dtype, count=1)[0]
    for name in names:
        assert old[name].tobytes() == new[name].tobytes(), name
    offset = int(header["vox_offset"])
    assert after[:offset] == before[:offset] and after.endswith(b"after the voxels") and len(after) == len(before)
    again = nib.load(out)
    assert again.get_data_dtype() == np.dtype(dtype).newbyteorder(endianness)
    (extension,) = again.header.extensions
    assert extension.get_code() == 6 and "kept as it is" in str(extension.get_content())


@given(
    dtype=st.sampled_from(DTYPES),
    slope=st.sampled_from([1.0, 0.25, -2.0, 0.001, 37.5, 0.0, float("nan")]),
    inter=st.sampled_from([0.0, -1024.0, 3.5]),
    seed=st.integers(0, 2**31),
    ending=st.sampled_from([".nii", ".nii.gz"]),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_round_trip(tmp_path: Path, dtype: str, slope: float, inter: float, seed: int, ending: str) -> None:
    stored = stored_numbers(dtype, (3, 2, 4), seed)
    header = rich_header(1, "<", dtype, stored.shape, slope, inter)
    source = put(tmp_path / f"in{ending}", nifti_bytes(header, stored))
    array = read(case_of(source)).array
    (out,) = write(case_of(source), array, tmp_path / f"out{ending}")
    assert unpacked(out) == unpacked(source)

    used, offset = (slope, inter) if slope and np.isfinite(slope) else (1.0, 0.0)
    used = float(np.float32(used))
    changed = array.copy()
    changed[0, 0] = (changed[0, 0] - np.float32(offset)) * np.float32(0.5) + np.float32(offset)
    (out,) = write(case_of(source), changed, tmp_path / f"out{ending}")
    result = nib.load(out).dataobj.get_unscaled().reshape(stored.shape)
    np.testing.assert_array_equal(result[1:], stored[1:])
    # within half a step of what was asked for, or of the nearest end of the type's range
    asked = changed[0, 0].astype(np.float64)
    got = result[0].astype(np.float64) * used + offset
    step = abs(used) / 2 if np.dtype(dtype).kind in "iu" else 0.0
    np.testing.assert_allclose(got, asked, atol=step * 1.0001 + 1e-3, rtol=1e-5)


@pytest.mark.parametrize("dtype", DTYPES)
def test_results_outside_the_type_are_clipped(tmp_path: Path, dtype: str) -> None:
    stored = np.zeros(SHAPE, dtype)
    source = put(tmp_path / "in.nii", nifti_bytes(rich_header(1, "<", dtype, SHAPE, 1e-3, 0), stored))
    array = np.full((1, *SHAPE), 3e38, np.float32)
    array[0, 0] = -3e38
    (out,) = write(case_of(source), array, tmp_path / "out.nii")
    result = np.asarray(nib.load(out).dataobj.get_unscaled())
    limits = np.finfo(dtype) if np.dtype(dtype).kind == "f" else np.iinfo(dtype)
    if dtype == "f8":
        np.testing.assert_allclose(result[0], -3e41, rtol=1e-6)
    else:
        assert (result[0] == limits.min).all() and (result[1:] == limits.max).all()


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((6, 5), (1, 6, 5, 1)),
        ((6,), (1, 6, 1, 1)),
        ((6, 1, 1), (1, 6, 1, 1)),
        ((2, 1, 5), (1, 2, 1, 5)),
        ((3, 4, 5, 6), (6, 3, 4, 5)),
        ((3, 4, 5, 1, 2), (2, 3, 4, 5)),
        ((3, 4, 5, 2, 3), (6, 3, 4, 5)),
    ],
)
def test_axes(tmp_path: Path, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    stored = stored_numbers("i2", shape)
    nib.save(nib.Nifti1Image(stored, np.diag([2, 2, 4, 1])), tmp_path / "in.nii")
    array = read(case_of(tmp_path / "in.nii")).array
    assert array.shape == expected
    full = stored.reshape((*shape, *[1] * (3 - len(shape)))).astype(np.float32)
    volumes = full.reshape((*expected[1:], expected[0]), order="F")
    np.testing.assert_array_equal(array, np.moveaxis(volumes, -1, 0))
    changed = array.copy()
    changed[-1] = 0
    (out,) = write(case_of(tmp_path / "in.nii"), changed, tmp_path / "out.nii")
    result = nib.load(out)
    assert result.shape == shape
    expected_stored = volumes.copy()
    expected_stored[..., -1] = 0
    np.testing.assert_array_equal(np.asarray(result.dataobj), expected_stored.reshape(shape, order="F"))


def test_analyze_pair(tmp_path: Path) -> None:
    image = nib.Spm2AnalyzeImage(stored_numbers("i2", SHAPE), np.diag([-2, 2, 3, 1]))
    image.header["descrip"] = b"left as it is"
    image.header["scl_slope"] = 0.25
    image.to_filename(tmp_path / "in.img")
    for start in ("in.hdr", "in.img"):
        volume = read(case_of(tmp_path / start))
        reference = nib.load(tmp_path / "in.img")
        np.testing.assert_array_equal(volume.array[0], np.asarray(reference.dataobj, np.float32))
        np.testing.assert_allclose(volume.affine, reference.affine)
    out = write(case_of(tmp_path / "in.hdr"), volume.array, tmp_path / "out.img")
    assert {path.name for path in out} >= {"out.hdr", "out.img"}
    for ending in (".hdr", ".img", ".mat"):
        if (tmp_path / f"in{ending}").exists():
            assert (tmp_path / f"out{ending}").read_bytes() == (tmp_path / f"in{ending}").read_bytes()
    write(case_of(tmp_path / "in.hdr"), volume.array + 1, tmp_path / "plus.hdr")
    result = nib.load(tmp_path / "plus.img")
    inside = np.abs(volume.array[0]) < 8000
    np.testing.assert_allclose(np.asarray(result.dataobj)[inside], volume.array[0][inside] + 1, atol=0.125)
    np.testing.assert_allclose(result.affine, reference.affine)


@pytest.mark.parametrize("name", ["out.img", "out.hdr.gz"])
@pytest.mark.parametrize("with_matrix", [False, True])
def test_the_files_of_a_pair_are_known_before_they_are_written(tmp_path: Path, name: str, with_matrix: bool) -> None:
    image = nib.Spm2AnalyzeImage(stored_numbers("i2", SHAPE), np.diag([-2, 2, 3, 1]))
    image.to_filename(tmp_path / "in.img")
    assert (tmp_path / "in.mat").exists()
    if not with_matrix:
        (tmp_path / "in.mat").unlink()
    case = replace(case_of(tmp_path / "in.hdr", tmp_path / "in.img"), output=Path(name))
    planned = case.outputs(tmp_path)
    assert write(case, read(case).array, tmp_path / name) == planned
    assert (tmp_path / "out.mat" in planned) == with_matrix


def test_nifti_pair(tmp_path: Path) -> None:
    image = nib.Nifti1Pair(stored_numbers("u2", SHAPE), np.diag([2, 2, 3, 1]))
    image.to_filename(tmp_path / "in.hdr")
    array = read(case_of(tmp_path / "in.hdr", tmp_path / "in.img")).array
    write(case_of(tmp_path / "in.hdr"), array, tmp_path / "sub" / "out.hdr")
    for ending in ("hdr", "img"):
        assert (tmp_path / "sub" / f"out.{ending}").read_bytes() == (tmp_path / f"in.{ending}").read_bytes()
    (tmp_path / "in.img").unlink()
    with pytest.raises(InputError, match="partner is missing"):
        read(case_of(tmp_path / "in.hdr"))


@pytest.mark.parametrize("ending", [".mgh", ".mgz"])
@pytest.mark.parametrize("dtype", ["u1", "i2", "i4", "f4"])
def test_mgh(tmp_path: Path, ending: str, dtype: str) -> None:
    stored = stored_numbers(dtype, (5, 4, 3, 2))
    affine = np.array([[-1.0, 0, 0, 9], [0, 0, 2, 8], [0, -3, 0, 7], [0, 0, 0, 1]])
    source = tmp_path / f"in{ending}"
    nib.MGHImage(stored, affine).to_filename(source)
    put(source, unpacked(source) + b"tags after the footer")
    volume = read(case_of(source))
    np.testing.assert_array_equal(volume.array, np.moveaxis(stored.astype(np.float32), -1, 0))
    np.testing.assert_allclose(volume.affine, affine, atol=1e-5)
    (out,) = write(case_of(source), volume.array, tmp_path / f"out{ending}")
    assert unpacked(out) == unpacked(source)
    changed = volume.array.copy()
    changed[:, 0] = 1
    (out,) = write(case_of(source), changed, tmp_path / f"out{ending}")
    stored[0] = 1
    np.testing.assert_array_equal(np.asarray(nib.load(out).dataobj), stored)
    assert unpacked(out)[:284] == unpacked(source)[:284] and unpacked(out).endswith(b"tags after the footer")


def test_nan_and_infinity_stay(tmp_path: Path) -> None:
    stored = stored_numbers("f4", SHAPE)
    stored[0, 0, :3] = np.nan, np.inf, -np.inf
    source = put(tmp_path / "in.nii.gz", nifti_bytes(rich_header(1, "<", "f4", SHAPE, 2, 1), stored))
    array = read(case_of(source)).array
    assert np.isnan(array[0, 0, 0, 0]) and np.isposinf(array[0, 0, 0, 1]) and np.isneginf(array[0, 0, 0, 2])
    (out,) = write(case_of(source), np.zeros_like(array), tmp_path / "out.nii.gz")
    result = np.asarray(nib.load(out).dataobj.get_unscaled())
    np.testing.assert_array_equal(result[0, 0, :3], [np.nan, np.inf, -np.inf])
    array[0, 1, 1, 1] = np.nan
    with pytest.raises(OutputError, match="not finite"):
        write(case_of(source), array, tmp_path / "never.nii.gz")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.nii.gz", "out.nii.gz"]


def test_units_and_leftover_dim_info(tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.zeros(SHAPE, np.int16), np.diag([0.001, 0.001, 0.003, 1]))
    image.header.set_xyzt_units("meter")
    image.header.set_dim_info(slice=0)  # contradicted by the thick voxels along the third axis
    nib.save(image, tmp_path / "metres.nii")
    volume = read(case_of(tmp_path / "metres.nii"))
    np.testing.assert_allclose(np.diag(volume.affine), [1, 1, 3, 1], rtol=1e-6)
    assert volume.slice_axis is None


@pytest.mark.parametrize("matrix", [np.zeros((3, 4)), np.full((3, 4), np.nan), np.ones((3, 4))])
@pytest.mark.parametrize("qform", [0, 1])
def test_a_space_that_is_none_gives_way_to_the_next(tmp_path: Path, matrix: np.ndarray, qform: int) -> None:
    """Some programs set sform_code and leave its matrix zero."""
    image = nib.Nifti1Image(np.zeros(SHAPE, np.int16), np.diag([-2.0, 3, 4, 1]))
    image.set_qform(image.affine, qform)
    content = bytearray(image.to_bytes())
    content[280:328] = matrix.astype("<f4").tobytes()
    volume = read(case_of(put(tmp_path / "in.nii", bytes(content))))
    np.testing.assert_allclose(volume.affine[:3, :3], np.diag([-2, 3, 4]), atol=1e-6)  # NIfTI: x runs left without one


def test_an_mgh_file_without_a_space(tmp_path: Path) -> None:
    content = bytearray(nib.MGHImage(np.zeros(SHAPE, np.float32), np.eye(4)).to_bytes())
    content[30:42] = bytes(12)  # edges of the voxels
    np.testing.assert_array_equal(read(case_of(put(tmp_path / "in.mgh", bytes(content)))).affine, np.eye(4))


@pytest.mark.parametrize("shape", [(5, 4), (5, 4, 3), (5, 4, 3, 1), (5, 4, 3, 2), (5, 4, 3, 2, 3), (5, 4, 1, 1, 1)])
def test_a_map_has_the_axes_of_its_image(tmp_path: Path, shape: tuple[int, ...]) -> None:
    data = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    nib.save(nib.Nifti1Image(data, np.eye(4)), tmp_path / "in.nii")
    case = case_of(tmp_path / "in.nii")
    volume = read(case)
    writer = open_map(case, tmp_path / "map.nii.gz", affine=volume.affine, count=len(volume.array))
    writer.put(volume.array)
    writer.finish()
    written = nib.load(tmp_path / "map.nii.gz")
    assert written.shape == shape
    np.testing.assert_array_equal(written.get_fdata(), data)


@pytest.mark.parametrize("size", [99_999, 7, -16], ids=["beyond the file", "too short", "negative"])
def test_a_map_of_an_image_with_a_damaged_extension(tmp_path: Path, size: int) -> None:
    """The image keeps it byte for byte; a map does without, and nibabel opens it."""
    whole = nifti_bytes(rich_header(1, "<", "i2", SHAPE), stored_numbers("i2", SHAPE))
    source = put(tmp_path / "in.nii", whole[:352] + size.to_bytes(4, "little", signed=True) + whole[356:])
    volume = read(case_of(source))
    assert write(case_of(source), volume.array, tmp_path / "out.nii")[0].read_bytes() == source.read_bytes()
    (put_map,) = write_map(source, tmp_path / "map.nii.gz")
    written = nib.load(put_map)
    assert not written.header.extensions
    np.testing.assert_array_equal(written.get_fdata(), volume.array[0])


@pytest.mark.parametrize("name", ["packed.nii", "plain.nii.gz", "none"])
def test_a_map_of_a_file_whose_name_tells_another_format(tmp_path: Path, name: str) -> None:
    data = nifti_bytes(rich_header(1, ">", "i2", SHAPE), stored_numbers("i2", SHAPE))
    put(tmp_path / "in.nii", data)
    source = tmp_path / name
    source.write_bytes(gzip.compress(data) if name == "packed.nii" else data)
    (expected,), (found,) = (
        write_map(path, tmp_path / f"map_{path.name}.nii") for path in (tmp_path / "in.nii", source)
    )
    assert found.read_bytes() == expected.read_bytes()
    (extension,) = nib.load(found).header.extensions
    assert "kept as it is" in str(extension.get_content())


def write_map(source: Path, destination: Path) -> list[Path]:
    """Write the values of an image as if they were a map of it."""
    volume = read(case_of(source))
    writer = open_map(case_of(source), destination, affine=volume.affine, count=len(volume.array))
    writer.put(volume.array)
    return writer.finish()


def test_compression_follows_the_name_and_repeats(tmp_path: Path) -> None:
    source = put(tmp_path / "in.nii", nifti_bytes(rich_header(1, "<", "i2", SHAPE), stored_numbers("i2", SHAPE)))
    array = read(case_of(source)).array
    first = write(case_of(source), array, tmp_path / "a.nii.gz")[0].read_bytes()
    second = write(case_of(source), array, tmp_path / "b.nii.gz")[0].read_bytes()
    assert first == second and gzip.decompress(first) == source.read_bytes()
    with pytest.raises(OutputError, match="keeps its format"):
        write(case_of(source), array, tmp_path / "a.mgz")


def test_input_is_never_overwritten(tmp_path: Path) -> None:
    source = put(tmp_path / "in.nii", nifti_bytes(rich_header(1, "<", "i2", SHAPE), stored_numbers("i2", SHAPE)))
    content = source.read_bytes()
    array = read(case_of(source)).array
    (tmp_path / "link.nii").symlink_to(source)
    for name in ("in.nii", "link.nii"):
        with pytest.raises(OutputError, match="is an input"):
            write(case_of(source), array + 1, tmp_path / name)
    assert source.read_bytes() == content
    with pytest.raises(ValueError, match="shape"):
        write(case_of(source), array[:, :-1], tmp_path / "out.nii")


def test_read_array(tmp_path: Path) -> None:
    affine = np.diag([2.0, 3, 4, 1])
    nib.save(nib.Nifti1Image(stored_numbers("i2", SHAPE), affine), tmp_path / "three.nii")
    nib.save(nib.Nifti1Image(stored_numbers("i2", (*SHAPE, 2)), affine), tmp_path / "four.nii.gz")
    for name, shape in (("three.nii", SHAPE), ("four.nii.gz", (*SHAPE, 2))):
        array, read_affine = read_array(tmp_path / name)
        assert array.shape == shape and array.dtype == np.float32
        np.testing.assert_array_equal(array, nib.load(tmp_path / name).get_fdata())
        np.testing.assert_array_equal(read_affine, affine)


def changed_header(**fields: object) -> bytes:
    header = rich_header(1, "<", "i2", SHAPE)
    block = nifti_bytes(header, stored_numbers("i2", SHAPE))
    for field, value in fields.items():
        header[field] = value
    return header.binaryblock + block[348:]


BAD = {
    "empty": (b"", "empty file"),
    "text": (b"no image at all" * 100, "not a NIfTI"),
    "short header": (changed_header()[:200], "not a NIfTI"),
    "truncated": (changed_header()[:-1], "truncated"),
    "huge": (changed_header(dim=[3, 32767, 32767, 32767, 1, 1, 1, 1]), "truncated"),
    "zero axis": (changed_header(dim=[3, 5, 0, 3, 1, 1, 1, 1]), "shape 5 x 0 x 3"),
    "negative axis": (changed_header(dim=[3, 5, -4, 3, 1, 1, 1, 1]), "shape"),
    "no axes": (changed_header(dim=[0, 5, 4, 3, 1, 1, 1, 1]), "0 dimensions"),
    "nine axes": (changed_header(dim=[9, 5, 4, 3, 1, 1, 1, 1]), "9 dimensions"),
    "complex": (changed_header(datatype=32, bitpix=64), "complex"),
    "RGB": (changed_header(datatype=128, bitpix=24), "RGB"),
    "RGBA": (changed_header(datatype=2304, bitpix=32), "RGB"),
    "float128": (changed_header(datatype=1536, bitpix=128), "128-bit|unknown data type"),
    "unknown type": (changed_header(datatype=77), "unknown data type"),
    "offset in header": (changed_header(vox_offset=100), "vox_offset"),
    "offset NaN": (changed_header(vox_offset=np.nan), "cannot be denoised"),
    "intercept NaN": (changed_header(scl_inter=np.nan), "intercept"),
}


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize("name", BAD)
def test_bad_files_get_one_line(tmp_path: Path, name: str, ending: str) -> None:
    content, message = BAD[name]
    path = put(tmp_path / f"bad{ending}", content)
    with pytest.raises(InputError, match=message) as caught:
        read(case_of(path))
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


def test_broken_gzip(tmp_path: Path) -> None:
    whole = gzip.compress(changed_header())
    for name, content in (("cut", whole[:-9]), ("checksum", whole[:-8] + b"\0\0\0\0" + whole[-4:])):
        path = tmp_path / f"{name}.nii.gz"
        path.write_bytes(content)
        with pytest.raises(InputError, match="truncated|damaged"):
            read(case_of(path))


def test_values_beyond_float32(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.full(SHAPE, 1e300), np.eye(4)), tmp_path / "in.nii")
    with pytest.raises(InputError, match="float32"):
        read(case_of(tmp_path / "in.nii"))


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read(case_of(tmp_path / "none.nii"))
    with pytest.raises(InputError, match="is a folder"):
        read(case_of(tmp_path))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read and write everything")
def test_no_permission(tmp_path: Path) -> None:
    path = put(tmp_path / "in.nii", changed_header())
    array = read(case_of(path)).array
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    with pytest.raises(OutputError, match="Permission denied"):
        write(case_of(path), array, locked / "out.nii")
    path.chmod(0)
    with pytest.raises(InputError, match="no permission"):
        read(case_of(path))


FULL_DISK = """
import resource, sys
from pathlib import Path
from mri_denoise.io import Case, read
from mri_denoise.io.nifti.image import SeriesWriter
from mri_denoise.errors import OutputError
case = Case(kind="nifti", sources=(Path(sys.argv[1]),), output=Path("x"), label="x")
array = read(case).array
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    writer = SeriesWriter(case, Path(sys.argv[2]))
    writer.put(array)
    writer.finish()
except OutputError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on file size there")
@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_no_room_leaves_nothing_behind(tmp_path: Path, ending: str) -> None:
    source = tmp_path / f"in{ending}"
    nib.save(nib.Nifti1Image(stored_numbers("i2", (64, 64, 40)), np.eye(4)), source)
    out = tmp_path / "results" / f"out{ending}"
    out.parent.mkdir()
    out.write_bytes(b"an earlier result")
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, source, out], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.startswith(f"{out}: cannot be written") and done.stdout.count("\n") == 1
    assert [path.name for path in out.parent.iterdir()] == [out.name]
    assert out.read_bytes() == b"an earlier result"


def test_destination_that_is_a_folder(tmp_path: Path) -> None:
    source = put(tmp_path / "in.nii", changed_header())
    (tmp_path / "out.nii").mkdir()
    with pytest.raises(OutputError, match="cannot be written"):
        write(case_of(source), read(case_of(source)).array, tmp_path / "out.nii")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.nii", "out.nii"]


def test_nibabel_example(tmp_path: Path) -> None:
    example = Path(nib.__file__).parent / "tests" / "data" / "example4d.nii.gz"
    source = Path(shutil.copy(example, tmp_path))
    volume = read(case_of(source))
    reference = nib.load(source)
    np.testing.assert_array_equal(np.moveaxis(volume.array, 0, -1), reference.get_fdata().astype(np.float32))
    np.testing.assert_allclose(volume.affine, reference.affine)
    (out,) = write(case_of(source), volume.array, tmp_path / "out.nii.gz")
    assert unpacked(out) == unpacked(source)


def test_header_without_image_magic_in_pair(tmp_path: Path) -> None:
    header = Nifti1PairHeader()
    header.set_data_shape(SHAPE)
    header.set_data_dtype("i2")
    path = put(tmp_path / "in.nii", header.binaryblock + bytes(1000))
    with pytest.raises(InputError, match="partner is missing"):
        read(case_of(path))
