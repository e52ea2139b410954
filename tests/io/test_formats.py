"""Every format is read and written through the same calls, whole or some volumes at a time."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mri_denoise.errors import OutputError
from mri_denoise.io import Case, discover, open_reader, read
from mri_denoise.io.chunks import CHUNK_VOXELS, plan_chunks
from mri_denoise.io.dicom.to_nifti import as_nifti
from mri_denoise.io.writing import open_map, open_writer, write
from tests.io.derivation import DERIVATION
from tests.io.dicom.phantom import Phantom, save, series

FORMATS = ("nifti", "picture", "dicom", "dicom to nifti")


def case_of(folder: Path, kind: str) -> Case:
    """A case of a format, of small volumes: four of NIfTI, one of the others."""
    source = folder / "source"
    source.mkdir()
    numbers = np.random.default_rng(0).integers(0, 200, (6, 5, 3, 4))
    if kind == "nifti":
        nib.save(nib.Nifti1Image(numbers.astype(np.int16), np.diag([2, 2, 3, 1])), source / "bold.nii.gz")
    elif kind == "picture":
        Image.fromarray(numbers[:, :, 0, 0].astype(np.uint8)).save(source / "slice.png")
    else:
        save(series(Phantom(slices=3)), source)
    cases, skips = discover(source)
    if kind == "dicom to nifti":
        cases, skips = as_nifti(cases)
    assert not skips
    (case,) = cases
    return case


def files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("kind", FORMATS)
def test_volumes_one_by_one_are_those_read_at_once(tmp_path: Path, kind: str) -> None:
    case = case_of(tmp_path, kind)
    with open_reader(case) as reader:
        step = reader.count if reader.whole else 1
        parts = [reader.take(step) for _ in range(reader.count // step)]
        assert all(part.array[0].size == reader.volume_voxels for part in parts)
    whole = read(case)
    assert whole.array.dtype == np.float32 and len(whole.array) == reader.count
    np.testing.assert_array_equal(np.concatenate([part.array for part in parts]), whole.array)
    assert all(np.array_equal(part.affine, whole.affine) for part in parts)
    assert whole.picture == case.picture == (kind == "picture")


@pytest.mark.parametrize("kind", FORMATS)
def test_nothing_is_in_its_place_before_the_end(tmp_path: Path, kind: str) -> None:
    case, out = case_of(tmp_path, kind), tmp_path / "out"
    result = read(case).array * np.float32(0.5)
    expected = write(case, result, tmp_path / "at once" / case.output, DERIVATION)
    writer = open_writer(case, out / case.output)
    for volume in result:
        writer.put(volume[np.newaxis])
        assert not any(path.exists() for path in case.outputs(out))
    files = writer.finish(DERIVATION)
    assert files == case.outputs(out) and sorted(files) == files_in(out)
    if not case.writes_folder:  # in DICOM, the time differs
        assert [path.read_bytes() for path in files] == [path.read_bytes() for path in expected]
    writer.abandon()
    assert sorted(files) == files_in(out)


@pytest.mark.parametrize("kind", FORMATS)
def test_an_abandoned_result_leaves_nothing(tmp_path: Path, kind: str) -> None:
    case, out = case_of(tmp_path, kind), tmp_path / "out"
    volume = read(case)
    writer = open_writer(case, out / case.output)
    noise = open_map(case, case.companion(out, "_noise"), affine=volume.affine, count=len(volume.array))
    for one in (writer, noise):
        one.put(volume.array[:1])
        one.abandon()
    assert not files_in(out)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_map_lies_in_the_grid_of_its_image(tmp_path: Path, kind: str) -> None:
    case, out = case_of(tmp_path, kind), tmp_path / "out"
    volume = read(case)
    level = np.random.default_rng(1).normal(size=volume.array.shape).astype(np.float32)
    writer = open_map(case, case.companion(out, "_noise"), affine=volume.affine, count=len(level))
    writer.put(level)
    (path,) = writer.finish(DERIVATION)
    if kind == "picture":
        assert path.name == "denoised_slice_noise.tif"
        np.testing.assert_array_equal(np.asarray(Image.open(path)), level[0, :, :, 0])
        return
    image = nib.load(path)
    assert image.get_data_dtype() == np.float32
    np.testing.assert_array_equal(image.get_fdata(dtype=np.float32), np.moveaxis(level, 0, -1).squeeze())
    np.testing.assert_allclose(image.affine, volume.affine, atol=1e-5)


@pytest.mark.parametrize("kind", FORMATS)
def test_inputs_are_never_written_over(tmp_path: Path, kind: str) -> None:
    case = case_of(tmp_path, kind)
    volume = read(case)
    before = {path: path.read_bytes() for path in case.sources}
    target = case.sources[0].parent if case.writes_folder else case.sources[0]
    if kind == "dicom to nifti":
        target = target.with_suffix(".nii")
        target.symlink_to(case.sources[0])
    with pytest.raises(OutputError, match="is an input and is not overwritten"):
        write(case, volume.array, target, DERIVATION)
    assert {path: path.read_bytes() for path in case.sources} == before


@given(count=st.integers(1, 400), voxels=st.integers(1, 2 * CHUNK_VOXELS))
def test_chunks_cover_all_volumes_once_and_fit_into_memory(count: int, voxels: int) -> None:
    chunks = plan_chunks(count, voxels)
    assert [n for chunk in chunks for n in range(chunk.start, chunk.stop)] == list(range(count))
    assert chunks[0].first and chunks[-1].last and all(chunk.total == count for chunk in chunks)
    assert all((chunk.stop - chunk.start) * voxels <= CHUNK_VOXELS or chunk.stop - chunk.start == 1 for chunk in chunks)
    (whole,) = plan_chunks(count, voxels, whole=True)
    assert whole.whole and whole.stop == count
