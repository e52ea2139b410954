"""``--sigma map``: a noise level estimated at each voxel, where noise varies as parallel imaging leaves it."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file

from mri_denoise import discover, read
from mri_denoise.noise.simulate import add_rician
from mri_denoise.simulation import phantom_affine, write_phantom_dicom
from tests.commands import cli
from tests.phantoms import head

SHAPE = (104, 128, 16)
PEAK, LEVEL = 1000.0, 40.0


@pytest.fixture(scope="module")
def clean() -> np.ndarray:
    return PEAK * head(SHAPE)


@pytest.fixture(scope="module")
def sigma() -> np.ndarray:
    """A g-factor of 1 at the rim to 2.5 in the middle, times the level."""
    x, y, _ = np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij")
    return (LEVEL * (1 + 1.5 * np.exp(-((x - 0.1) ** 2 + (y + 0.1) ** 2) / 0.3))).astype(np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, clean: np.ndarray, sigma: np.ndarray) -> Path:
    """``uneven.nii``, ``even.nii``, and ``uneven.nii`` denoised by both ways of estimating and with one number."""
    folder = tmp_path_factory.mktemp("map")
    for name, level in (("uneven", sigma), ("even", LEVEL)):
        noisy = add_rician(clean, level, np.random.default_rng(0))
        nib.save(nib.Nifti1Image(noisy, phantom_affine(SHAPE)), folder / f"{name}.nii")
    for kind, level in (("auto", "auto"), ("map", "map"), ("number", float(np.median(sigma)))):
        options = ("--sigma", level, "--noise-map", "--json")
        said = cli("denoise", folder / "uneven.nii", folder / f"{kind}.nii", *options).stdout
        (folder / f"{kind}.json").write_text(said)
    return folder


def values(path: Path) -> np.ndarray:
    return nib.load(path).get_fdata(dtype=np.float32)


def test_the_map_is_right_in_the_head_and_written(folder: Path, clean: np.ndarray, sigma: np.ndarray) -> None:
    head = clean > 0.04 * PEAK
    found = values(folder / "map_noise.nii.gz")
    assert np.abs(found[head] / sigma[head] - 1).mean() < 0.15
    [record] = json.loads((folder / "map.json").read_text())["done"]
    assert record["settings"]["sigma"] == "map" and record["sigma_variation"][0] > 1.2
    assert record["sigma"] == [pytest.approx(np.median(found), rel=1e-3)]


def test_denoising_is_better_than_with_one_level(folder: Path, clean: np.ndarray) -> None:
    head = clean > 0.04 * PEAK
    kinds = ("auto", "map", "number", "uneven")
    errors = {k: np.sqrt(np.mean((values(folder / f"{k}.nii") - clean)[head] ** 2)) for k in kinds}
    assert max(errors["auto"], errors["map"]) < 0.97 * errors["number"] < 0.9 * errors["uneven"]


def test_uneven_noise_is_recorded_and_told(folder: Path) -> None:
    [record] = json.loads((folder / "auto.json").read_text())["done"]
    assert 1.2 < record["sigma_variation"][0] < 3
    assert ", varies x" in cli("noise", folder / "uneven.nii").stdout
    assert "varies" not in cli("noise", folder / "even.nii").stdout


def test_a_file_called_map_is_named_with_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shape = (20, 24, 8)
    for name, array in (("in.nii", np.random.default_rng(0).rayleigh(40, shape)), ("map.nii", np.full(shape, 33))):
        nib.save(nib.Nifti1Image(array.astype(np.float32), phantom_affine(shape)), name)
    Path("map.nii").rename("map")
    options = ("--noise-map", "--strength", 0)
    cli("denoise", "in.nii", "a.nii", "--sigma", "./map", *options)
    assert (values(tmp_path / "a_noise.nii.gz") == 33).all()


@pytest.mark.parametrize("axes", ["LPS", "RAS", "SPL", "AIR"])
def test_a_map_may_have_its_axes_in_another_order(tmp_path: Path, axes: str) -> None:
    shape = (20, 24, 8)
    rng = np.random.default_rng(0)
    image = nib.Nifti1Image(rng.rayleigh(40, shape).astype(np.float32), phantom_affine(shape))
    level = nib.Nifti1Image(rng.uniform(30, 50, shape).astype(np.float32), image.affine)
    nib.save(image, tmp_path / "in.nii")
    start = nib.orientations.io_orientation(level.affine)
    other = nib.orientations.ornt_transform(start, nib.orientations.axcodes2ornt(axes))
    nib.save(level.as_reoriented(other), tmp_path / "sigma.nii")
    cli("denoise", tmp_path / "in.nii", tmp_path / "out.nii", "--sigma", tmp_path / "sigma.nii", "--noise-map")
    np.testing.assert_array_equal(values(tmp_path / "out_noise.nii.gz"), level.get_fdata(dtype=np.float32))


def test_a_map_of_a_dicom_series_may_have_the_axes_of_its_nifti_file(tmp_path: Path) -> None:
    write_phantom_dicom(tmp_path / "study", 0.3 + head((24, 28, 8)), (2.0, 2.0, 3.0))
    cli("denoise", tmp_path / "study", tmp_path / "nifti", "--to-nifti", "--strength", 0, "--sigma", 50)
    [written] = (tmp_path / "nifti").glob("*.nii.gz")
    nifti = nib.load(written)
    level = np.random.default_rng(0).uniform(30, 50, nifti.shape).astype(np.float32)
    nib.save(nib.Nifti1Image(level, nifti.affine), tmp_path / "sigma.nii")
    options = ("--sigma", tmp_path / "sigma.nii", "--noise-map")
    cli("denoise", tmp_path / "study", tmp_path / "out", *options)
    [used] = (tmp_path / "out").glob("*_noise.nii.gz")
    found = nib.load(used)
    assert not np.allclose(found.affine, nifti.affine)
    turn = nib.orientations.ornt_transform(*(nib.orientations.io_orientation(one.affine) for one in (found, nifti)))
    np.testing.assert_array_equal(found.as_reoriented(turn).get_fdata(dtype=np.float32), level)


@pytest.mark.parametrize("change", ["moved", "turned", "other size"])
def test_a_map_elsewhere_is_refused(tmp_path: Path, change: str) -> None:
    shape, affine = (20, 20, 8), phantom_affine((20, 20, 8))
    nib.save(nib.Nifti1Image(np.full(shape, 40, np.float32), affine), tmp_path / "in.nii")
    other = affine.copy()
    if change == "moved":
        other[0, 3] += 2 * np.abs(affine[0, 0])
    elif change == "turned":  # the first two axes swapped, but the voxels are not where those of the image are
        other[:, :2] = affine[:, [1, 0]]
        other[:3, 3] += 3
    else:
        other[:3, 0] *= 2
    nib.save(nib.Nifti1Image(np.full(shape, 33, np.float32), other), tmp_path / "sigma.nii")
    said = cli("denoise", tmp_path / "in.nii", tmp_path / "out.nii", "--sigma", tmp_path / "sigma.nii", code=1).stderr
    assert "another space" in said


def test_an_image_is_no_map_of_its_own_noise(tmp_path: Path) -> None:
    array = np.random.default_rng(0).rayleigh(40, (20, 24, 8)).astype(np.float32)
    for name in ("in.nii", "copy.nii"):
        nib.save(nib.Nifti1Image(array, phantom_affine(array.shape)), tmp_path / name)
    for name in ("in.nii", "copy.nii"):
        said = cli("denoise", tmp_path / "in.nii", tmp_path / "out.nii", "--sigma", tmp_path / name, code=1).stderr
        assert f"{name}: is the image itself" in said and not (tmp_path / "out.nii").exists()


def test_of_a_map_that_is_masked_the_level_of_the_head_is_told(tmp_path: Path, clean: np.ndarray) -> None:
    noisy, affine = add_rician(clean, LEVEL, np.random.default_rng(0)), phantom_affine(SHAPE)
    masked = np.where(clean > 0.3 * PEAK, LEVEL, 0).astype(np.float32)
    assert 0 < (masked > 0).mean() < 0.4
    nib.save(nib.Nifti1Image(noisy, affine), tmp_path / "in.nii")
    nib.save(nib.Nifti1Image(masked, affine), tmp_path / "map.nii")
    options = ("--sigma", tmp_path / "map.nii", "--quality", "fast", "--report", "--overwrite")
    done = cli("denoise", tmp_path / "in.nii", tmp_path / "out.nii", *options)
    record = json.loads((tmp_path / "out.mri-denoise.json").read_text())
    assert record["sigma"] == [LEVEL] and record["changed"] == [True]
    assert f"sigma {LEVEL:g}" in done.output and "left as it was" not in done.output
    page = (tmp_path / "out_report.html").read_text()
    assert "No noise level is known" not in page and f"<td>{LEVEL:g}</td>" in page

    nib.save(nib.Nifti1Image((noisy / 15).round() * 15 - 1024, affine), tmp_path / "in.nii")
    cautions = []
    for level in (LEVEL / 4, tmp_path / "map.nii"):
        nib.save(nib.Nifti1Image(masked / 4, affine), tmp_path / "map.nii")
        cli("denoise", tmp_path / "in.nii", tmp_path / "out.nii", "--sigma", level, *options[2:])
        cautions.append(json.loads((tmp_path / "out.mri-denoise.json").read_text())["cautions"])
    assert cautions[0] == cautions[1] and "coarse grey levels" in cautions[0]


def test_of_a_map_of_zeros_nothing_is_told_but_that(tmp_path: Path) -> None:
    array = np.random.default_rng(0).rayleigh(40, (20, 24, 8)).astype(np.float32)
    for name, values in (("in.nii", array), ("map.nii", 0 * array)):
        nib.save(nib.Nifti1Image(values, phantom_affine(array.shape)), tmp_path / name)
    done = cli("denoise", tmp_path / "in.nii", tmp_path / "out.nii", "--sigma", tmp_path / "map.nii")
    assert "sigma 0 (as given: left as it was)" in done.output


def test_dicom_tells_the_level_of_a_masked_map(tmp_path: Path) -> None:
    source = Path(get_testdata_file("MR_small.dcm"))
    [case], _ = discover(source)
    volume = read(case)
    level = np.where(volume.array[0] > np.quantile(volume.array, 0.7), 25, 0).astype(np.float32)
    nib.save(nib.Nifti1Image(level, volume.affine), tmp_path / "map.nii")
    cli("denoise", source, tmp_path / "out", "--sigma", tmp_path / "map.nii", "--quality", "fast")
    [result] = [pydicom.dcmread(path) for path in sorted((tmp_path / "out").rglob("*.dcm"))]
    assert "noise level given, 25," in result.DerivationDescription
