"""One call for images in memory and on disk: the same kind comes back, with its header and its type."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import torch
from monai.data import MetaTensor
from PIL import Image
from pydicom.data import get_testdata_file

from mri_denoise.denoiser import Denoiser
from mri_denoise.errors import InputError
from mri_denoise.images import denoise, estimate_noise
from mri_denoise.in_memory import as_type
from mri_denoise.noise.model import NoiseModel, find_noise
from mri_denoise.volume import Volume

SHAPE, SIGMA = (24, 20, 9), 20.0
AFFINE = np.array([[0, -1.0, 0, 12], [1.1, 0, 0, -7], [0, 0, 3.5, 2], [0, 0, 0, 1]])


def noisy(*more: int, dtype: str = "int16") -> np.ndarray:
    rng = np.random.default_rng(0)
    ramp = 300 * np.linspace(0, 1, SHAPE[0])[:, None, None].reshape(-1, 1, 1, *[1] * len(more))
    shape = (*SHAPE, *more)
    return np.hypot(ramp + rng.normal(0, SIGMA, shape), rng.normal(0, SIGMA, shape)).astype(dtype)


@pytest.fixture(scope="module")
def wanted() -> np.ndarray:
    """What the denoiser makes of the volume with its affine, float32 (X, Y, Z)."""
    volume = Volume(array=noisy()[None].astype(np.float32), affine=AFFINE)
    return Denoiser.load("rician")(volume, sigma=SIGMA).array[0]


def test_nibabel_images_keep_header_and_type(wanted: np.ndarray) -> None:
    image = nib.Nifti1Image(noisy(), AFFINE)
    image.header["descrip"] = b"a head"
    image.header.set_xyzt_units("mm", "sec")
    result = denoise(image, sigma=SIGMA)
    assert type(result) is nib.Nifti1Image and result.header == image.header
    np.testing.assert_array_equal(result.affine, AFFINE)
    np.testing.assert_array_equal(np.asarray(result.dataobj), as_type(wanted, np.dtype("int16")))


def test_simpleitk_images_keep_geometry_type_and_metadata(wanted: np.ndarray) -> None:
    image = sitk.GetImageFromArray(noisy().transpose(2, 1, 0))
    lps = np.diag([-1.0, -1, 1, 1]) @ AFFINE
    sizes = np.linalg.norm(AFFINE[:3, :3], axis=0)
    image.SetSpacing(sizes.tolist())
    image.SetDirection((lps[:3, :3] / sizes).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    image.SetMetaData("0008|103e", "T1")
    result = denoise(image, sigma=SIGMA)
    assert (result.GetPixelID(), result.GetMetaData("0008|103e")) == (image.GetPixelID(), "T1")
    assert result.IsSameImageGeometryAs(image)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(result).transpose(2, 1, 0), as_type(wanted, np.dtype("int16")))


def test_metatensors_keep_affine_and_device(wanted: np.ndarray) -> None:
    image = MetaTensor(torch.from_numpy(noisy(dtype="float32"))[None], affine=torch.from_numpy(AFFINE))
    result = denoise(image, sigma=SIGMA)
    assert isinstance(result, MetaTensor) and result.shape == image.shape and result.dtype == torch.float32
    np.testing.assert_array_equal(result.affine, image.affine)
    same = Volume(array=noisy(dtype="float32")[None], affine=AFFINE)
    np.testing.assert_array_equal(result[0].numpy(), Denoiser.load("rician")(same, sigma=SIGMA).array[0])


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "float16", "float32", "float64"])
def test_arrays_keep_shape_and_type(dtype: str) -> None:
    for image in (noisy(dtype=dtype), noisy(2, dtype=dtype), noisy(dtype=dtype)[:, :, 4]):
        before = image.copy()
        result = denoise(image, sigma=SIGMA, spacing=(1, 1, 4))
        assert (result.shape, result.dtype) == (image.shape, image.dtype)
        np.testing.assert_array_equal(image, before)
        assert not np.array_equal(result, image)


def test_strength_0_gives_every_kind_back() -> None:
    array = noisy()
    np.testing.assert_array_equal(denoise(array, sigma=SIGMA, strength=0), array)
    one, two = denoise([array, array[:, :, :4]], sigma=SIGMA, strength=0)
    np.testing.assert_array_equal(one, array)
    np.testing.assert_array_equal(two, array[:, :, :4])


def test_an_output_that_asks_for_another_format_is_refused(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(noisy(), AFFINE), tmp_path / "in.nii.gz")
    Image.fromarray(noisy()[:, :, 0].clip(0, 255).astype(np.uint8)).save(tmp_path / "in.png")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for source, output, words in (
        (tmp_path / "in.nii.gz", "out.mgz", "name the output .nii or .nii.gz"),
        (tmp_path / "in.nii.gz", "out", "name the output .nii or .nii.gz"),
        (tmp_path / "in.nii.gz", "", "is a folder"),
        (tmp_path / "in.png", "out.nii.gz", "a picture stays one"),
        (Path(get_testdata_file("MR_small.dcm")), "out.nii.gz", "needs a folder"),
    ):
        with pytest.raises(InputError, match=words):
            denoise(source, output=tmp_path / output)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_path_is_denoised_to_a_path(tmp_path: Path, wanted: np.ndarray) -> None:
    nib.save(nib.Nifti1Image(noisy(), AFFINE), tmp_path / "in.nii.gz")
    result = denoise(tmp_path / "in.nii.gz", output=tmp_path / "out" / "x.nii.gz", sigma=SIGMA)
    assert result == tmp_path / "out" / "x.nii.gz"
    np.testing.assert_array_equal(np.asarray(nib.load(result).dataobj), as_type(wanted, np.dtype("int16")))


@pytest.mark.parametrize(
    ("image", "choices", "words"),
    [
        (np.zeros(5), {}, r"array of shape \(5,\): must be"),
        (np.zeros((4, 4, 0)), {}, "array of shape"),
        (np.zeros((9, 9, 9), complex), {}, "of complex data give the magnitude"),
        (np.zeros((9, 9, 9), bool), {}, "must hold real numbers"),
        (np.zeros((9, 9, 9)), {"spacing": (1, 0, 1)}, "spacing .*: must be two or three lengths"),
        (np.zeros((9, 9, 9)), {"strength": 2}, "strength 2: must lie between 0 and 1"),
        (np.zeros((9, 9, 9)), {"sigma": -1}, "sigma -1"),
        (np.zeros((9, 9, 9)), {"model": "none"}, "model none: neither a shipped model"),
        (torch.zeros(9, 9), {}, "channel first"),
        ({"image": 1}, {}, "image of type dict: not known"),
        ("nowhere.nii", {}, "needs output"),
        ([np.zeros((9, 9, 9))], {"output": "x"}, "output: names one result"),
    ],
)
def test_what_cannot_be_denoised_is_one_line(image: object, choices: dict, words: str) -> None:
    with pytest.raises(InputError, match=words) as error:
        denoise(image, **choices)
    assert "\n" not in str(error.value)


def test_noise_is_that_of_the_model_whatever_the_kind(tmp_path: Path) -> None:
    wanted = find_noise(noisy().astype(np.float32), slice_axis=2)
    image = nib.Nifti1Image(noisy(), AFFINE)
    nib.save(image, tmp_path / "head.nii.gz")
    itk = sitk.GetImageFromArray(noisy().transpose(2, 1, 0))
    itk.SetSpacing((1, 1, 4))
    kinds = [image, tmp_path / "head.nii.gz", str(tmp_path / "head.nii.gz"), itk]
    for found in [*(estimate_noise(kind) for kind in kinds), estimate_noise(noisy(), spacing=(1, 1, 4))]:
        assert isinstance(found, NoiseModel) and found.level == wanted.level == pytest.approx(SIGMA, rel=0.2)
        np.testing.assert_array_equal(found.correlation, wanted.correlation)


def test_noise_of_a_series_and_of_a_list_is_a_list() -> None:
    series = np.stack([noisy(), 2 * noisy()], axis=3)
    first, second = estimate_noise(series, spacing=(1, 1, 4))
    assert second.level == pytest.approx(2 * first.level, rel=1e-3)
    one, both = estimate_noise([noisy(), series], spacing=(1, 1, 4))
    assert one.level == first.level and [model.level for model in both] == [first.level, second.level]
    with pytest.raises(InputError, match="not known"):
        estimate_noise(b"nothing")


def test_importing_the_package_loads_nothing_heavy_and_names_at_most_eight_things() -> None:
    program = (
        "import sys, time; start = time.process_time(); import mri_denoise; took = time.process_time() - start;"
        "heavy = {'numpy', 'torch', 'monai', 'nibabel', 'scipy'} & sys.modules.keys();"
        "print(took, len(mri_denoise.__all__), *heavy)"
    )
    command = [sys.executable, "-c", program]
    done = [subprocess.run(command, capture_output=True, text=True, check=True) for _ in range(3)]
    seconds, names, *heavy = zip(*(one.stdout.split() for one in done), strict=True)
    assert min(map(float, seconds)) < 0.05 and int(names[0]) <= 8 and not heavy
