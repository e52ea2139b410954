"""One call for images in memory and on disk: the same kind comes back, with its header and its type."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import torch
from monai.data import MetaTensor, list_data_collate
from monai.transforms import Flip
from PIL import Image
from pydicom.data import get_testdata_file

from mri_denoise.bundles.registry import find_bundle
from mri_denoise.bundles.weights import record_sha256
from mri_denoise.denoiser import Denoiser
from mri_denoise.errors import InputError
from mri_denoise.images import denoise, estimate_noise
from mri_denoise.loaded import load
from mri_denoise.noise import cells
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
    np.testing.assert_array_equal(np.asarray(result.dataobj), wanted.round().astype("int16"))


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
    np.testing.assert_array_equal(sitk.GetArrayFromImage(result).transpose(2, 1, 0), wanted.round().astype("int16"))


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


Kind = tuple[Callable[[np.ndarray], Any], Callable[[Any], np.ndarray]]
KINDS: dict[str, Kind] = {  # an array of shape (X, Y, Z) as an image of a kind, and back
    "array": (lambda array: array, lambda image: image),
    "nibabel": (
        lambda array: nib.Nifti1Image(array, AFFINE, dtype=array.dtype),
        lambda image: np.asarray(image.dataobj),
    ),
    "SimpleITK": (
        lambda array: sitk.GetImageFromArray(np.ascontiguousarray(array.T)),
        lambda image: sitk.GetArrayFromImage(image).T,
    ),
    "tensor": (lambda array: torch.from_numpy(array)[None], lambda image: image[0].numpy()),
}


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_that_float32_does_not_tell_apart_are_kept(kind: str) -> None:
    make, values = KINDS[kind]
    for array in (noisy(dtype="int64") + 2**40, noisy(dtype="int32") + 2**30):
        np.testing.assert_array_equal(values(denoise(make(array))), array)
    exact = noisy(dtype="float64") * np.pi
    np.testing.assert_array_equal(values(denoise(make(exact), sigma=SIGMA, strength=0)), exact)
    some = np.pad(exact, ((0, 0), (0, 0), (6, 6)))  # a mask stays as it is, beside voxels that change
    result = values(denoise(make(some), sigma=SIGMA))
    assert result.dtype == np.float64 and not result[:, :, :6].any() and not np.array_equal(result, some)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("factor", [1e36, 1e300])
def test_what_float32_cannot_hold_is_refused(kind: str, factor: float) -> None:
    make, _ = KINDS[kind]
    for call in (denoise, estimate_noise):
        with pytest.raises(InputError, match="^image of type float64: values beyond the range of float32; rescale it"):
            call(make(noisy(dtype="float64") * factor))


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_too_small_for_float32_does_not_become_0(kind: str) -> None:
    make, _ = KINDS[kind]
    with np.errstate(all="raise"):  # as a program around it may have it
        tiny = make(noisy(dtype="float64") * 1e-60)
    with pytest.raises(InputError, match="values below the range of float32; rescale it"), np.errstate(under="raise"):
        denoise(tiny)


def test_a_series_of_simpleitk_stays_one() -> None:
    one = sitk.GetImageFromArray(noisy().T)
    one.SetSpacing((1.1, 1, 3.5))
    series = sitk.JoinSeries([one, sitk.Cast(2 * one, sitk.sitkInt16)], 5.0, 2.0)
    result = denoise(series, sigma=SIGMA)
    assert result.GetSize() == series.GetSize() and result.GetNumberOfComponentsPerPixel() == 1
    assert result.IsSameImageGeometryAs(series)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(result)[0], sitk.GetArrayFromImage(denoise(one, sigma=SIGMA)))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float8_e5m2, torch.uint16])
def test_tensors_keep_types_that_numpy_may_not_know(dtype: torch.dtype) -> None:
    image = torch.from_numpy(noisy(dtype="float32"))[None].to(dtype)
    result = denoise(image, sigma=SIGMA)
    assert (result.dtype, result.shape) == (dtype, image.shape)
    assert float((result.float() - image.float()).std()) > SIGMA / 2
    assert denoise(image, sigma=SIGMA, strength=0).float().equal(image.float())


def test_a_metatensor_keeps_what_was_done_to_it_and_needs_no_affine(wanted: np.ndarray) -> None:
    image = Flip(1)(MetaTensor(torch.from_numpy(noisy(dtype="float32"))[None], affine=torch.zeros(4, 4)))
    result = denoise(image, sigma=SIGMA)
    assert result.applied_operations == image.applied_operations and len(result.applied_operations) == 1
    assert not result.affine.any()


def test_what_lazy_transforms_have_put_off_is_still_to_be_done() -> None:
    image = Flip(1, lazy=True)(MetaTensor(torch.from_numpy(noisy(dtype="float32"))[None]))
    result = denoise(image, sigma=SIGMA)
    assert result.pending_operations == image.pending_operations and len(result.pending_operations) == 1


def test_a_batch_is_no_image() -> None:
    batch = list_data_collate([{"image": MetaTensor(torch.zeros(1, 9, 9))}] * 2)["image"]
    with pytest.raises(InputError, match="a batch: take it apart by monai.data.decollate_batch"):
        denoise(batch)


@pytest.mark.parametrize("dtype", [">i2", "float64", "uint8"])
def test_masked_arrays_keep_their_mask_and_what_is_under_it(dtype: str) -> None:
    array = (noisy() // 2).astype(dtype)
    mask = np.zeros(SHAPE, bool)
    mask[:6] = True
    array[mask] = 211
    image = np.ma.MaskedArray(array, mask=mask, fill_value=7)
    result = denoise(image, sigma=SIGMA)
    assert isinstance(result, np.ma.MaskedArray) and (result.dtype, result.fill_value) == (array.dtype, 7)
    np.testing.assert_array_equal(result.mask, mask)
    np.testing.assert_array_equal(result.data[mask], array[mask])
    assert (result.data != array)[~mask].mean() > 0.5
    without = array.astype("float32")
    without[mask] = np.nan
    inside = denoise(without, sigma=SIGMA)[~mask]
    np.testing.assert_array_equal(result.data[~mask], inside if dtype == "float64" else inside.round())
    result.mask[:] = False
    assert image.mask.sum() == mask.sum()


def test_masked_arrays_may_hold_anything_under_their_mask() -> None:
    for value in (np.nan, 1e300):
        array = noisy(dtype="float64")
        array[0] = value
        image = np.ma.masked_array(array)
        image[0] = np.ma.masked
        np.testing.assert_array_equal(denoise(image, sigma=SIGMA).data[0], array[0])
    assert denoise(np.ma.masked_array(noisy()), sigma=SIGMA).mask is np.ma.nomask
    assert denoise(np.ma.masked_all(SHAPE)).mask.all()
    assert denoise(np.ma.masked_less(noisy(2), 9), sigma=SIGMA).shape == (*SHAPE, 2)


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
    np.testing.assert_array_equal(np.asarray(nib.load(result).dataobj), wanted.round().astype("int16"))


@pytest.mark.parametrize(
    ("image", "choices", "words"),
    [
        (np.zeros(5), {}, r"array of shape \(5,\): must be"),
        (np.zeros((4, 4, 0)), {}, "array of shape"),
        (np.zeros((9, 9, 9), complex), {}, "of complex data give the magnitude"),
        (np.zeros((9, 9, 9), bool), {}, "must hold real numbers"),
        (np.ma.zeros((9, 9, 9), complex), {}, "of complex data give the magnitude"),
        (torch.zeros(1, 9, 9, 9, dtype=torch.complex64), {}, "of complex data give the magnitude"),
        (torch.zeros(1, 9, 9, 9).to_sparse(), {}, "tensor that is sparse"),
        (np.zeros((9, 9, 9)), {"spacing": (1, 0, 1)}, "spacing .*: must be two or three lengths"),
        (np.zeros((9, 9, 9)), {"spacing": 4}, "spacing 4: must be two or three lengths"),
        (np.zeros((9, 9, 9)), {"spacing": (1, None, 1)}, "spacing .*: must be two or three lengths"),
        (np.zeros((9, 9, 9)), {"spacing": np.eye(3)}, "spacing .*: must be two or three lengths"),
        (np.zeros((9, 9, 9)), {"spacing": "114"}, "spacing 114: must be two or three lengths"),
        (np.zeros((9, 9, 9)), {"spacing": (4, 4)}, "spacing .*: a volume needs three lengths"),
        (np.zeros((9, 9, 9)), {"strength": "0.5"}, "strength of type str: must be a number"),
        (np.zeros((9, 9, 9)), {"strength": np.full((2, 2), 0.5)}, "strength of type ndarray: must be a number"),
        (
            np.zeros((9, 9, 9)),
            {"sigma": np.ones((9, 9))},
            r"sigma of shape \(9, 9, 1\): must be one number, or a map of",
        ),
        (np.zeros((9, 9, 9)), {"sigma": np.ones((9, 9, 9, 2))}, "sigma of shape .2, 9, 9, 9.: must be one number"),
        (np.zeros((9, 9, 9)), {"sigma": np.zeros(0)}, "sigma of shape"),
        (np.zeros((9, 9, 9)), {"sigma": -np.ones((9, 9, 9))}, "a noise map must be finite and not negative"),
        (np.zeros((9, 9, 9)), {"sigma": np.full((9, 9, 9), 1e300)}, "a noise map must be finite and not negative"),
        (np.zeros((9, 9, 9)), {"sigma": np.ones((9, 9, 9), bool)}, "a noise map must hold real numbers"),
        (np.zeros((9, 9, 9)), {"sigma": np.ma.masked_less(np.ones((9, 9, 9)), 2)}, "at each voxel, none masked"),
        (np.zeros((9, 9, 9)), {"sigma": np.ma.masked}, "sigma nan: must be a number from 0 on"),
        (np.zeros((9, 9, 9)), {"sigma": np.array(-2.0)}, "sigma -2.0: must be a number from 0 on"),
        ("nowhere.nii", {"output": "x.nii", "sigma": np.ones((9, 9, 9))}, "save the map and give its path"),
        ("nowhere.nii", {"output": "x.nii", "spacing": (1, 1, 4)}, "spacing: is for NumPy arrays"),
        (nib.Nifti1Image(noisy(), AFFINE), {"spacing": (1, 1, 4)}, "spacing: is for NumPy arrays"),
        (np.zeros((9, 9, 9)), {"output": "x.nii"}, "output: is for the path of a file"),
        (np.zeros((9, 9, 9)), {"guard": "x"}, "guard of type str: must be True or False"),
        (np.zeros((9, 9, 9)), {"sigma": None}, "sigma of type NoneType: must be auto, map, a number"),
        (np.zeros((9, 9, 9)), {"sigma": True}, "sigma of type bool: must be auto, map, a number"),
        (np.zeros((9, 9, 9)), {"quality": 3}, "quality of type int: must be fast, balanced or best"),
        (np.zeros((9, 9, 9)), {"tta": "x"}, "tta of type str: must be True or False"),
        (np.zeros((9, 9, 9)), {"trust": "no"}, "trust of type str: must be True or False"),
        (np.zeros((9, 9, 9)), {"device": None}, "device of type NoneType: must be a name"),
        (np.zeros((9, 9, 9)), {"model": ["rician"]}, "model of type list: must be the name"),
        ("nowhere.nii", {"output": 3}, "output of type int: must be the path"),
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


@pytest.mark.parametrize("more", [(), (2,)])
def test_a_map_may_be_an_array(tmp_path: Path, more: tuple[int, ...]) -> None:
    series, levels = (
        noisy(*more),
        SIGMA * np.linspace(0.5, 2, SHAPE[0], dtype="f4")[:, None, None] * np.ones(SHAPE, "f4"),
    )
    if more:
        levels = levels[..., None] * np.array([1.0, 0.5], "f4")
    image = nib.Nifti1Image(series, AFFINE)
    nib.save(nib.Nifti1Image(levels, AFFINE), tmp_path / "map.nii")
    for tta in (False, True):
        by_file = denoise(image, sigma=tmp_path / "map.nii", tta=tta)
        by_array = denoise(image, sigma=levels, tta=tta)
        np.testing.assert_array_equal(np.asarray(by_array.dataobj), np.asarray(by_file.dataobj))
    volume = Volume(array=np.moveaxis(series.reshape(*SHAPE, -1), 3, 0).astype(np.float32), affine=AFFINE)
    given = np.moveaxis(levels, 3, 0) if more else levels
    by_volume = Denoiser.load("rician")(volume, sigma=given).array
    once = denoise(image, sigma=levels)
    np.testing.assert_array_equal(np.moveaxis(by_volume, 0, 3).round(), np.asarray(once.dataobj).reshape(*SHAPE, -1))


def test_one_number_may_be_an_array_and_a_flat_image_has_a_flat_map(wanted: np.ndarray) -> None:
    image = nib.Nifti1Image(noisy(), AFFINE)
    for level in (np.array(SIGMA), np.array([SIGMA])):
        np.testing.assert_array_equal(np.asarray(denoise(image, sigma=level).dataobj), wanted.round())
    flat = noisy(dtype="float32")[:, :, 4]
    assert not np.array_equal(denoise(flat, sigma=np.full(flat.shape, SIGMA)), flat)
    tensor = torch.from_numpy(noisy(dtype="float32"))[None]
    assert denoise(tensor, sigma=np.full(SHAPE, SIGMA)).shape == tensor.shape
    estimated = estimate_noise(noisy(), spacing=(1, 1, 4)).sigma
    assert denoise(noisy(), spacing=(1, 1, 4), sigma=1.5 * estimated).shape == SHAPE


def test_the_guard_can_be_left_out() -> None:
    array = noisy(dtype="float32")
    array[10:12, 8:10, 4] += 400  # what only the guard would give back
    volume = Volume(array=array[None], affine=np.eye(4))
    for guard in (False, True):
        wanted = Denoiser.load("rician")(volume, sigma=5 * SIGMA, guard=guard).array[0]
        np.testing.assert_array_equal(denoise(array, sigma=5 * SIGMA, guard=guard), wanted)
    assert not np.array_equal(denoise(array, sigma=5 * SIGMA, guard=False), denoise(array, sigma=5 * SIGMA))


def weaken(bundle: Path) -> None:
    weights = bundle / "models" / "model.pt"
    state = torch.load(weights, weights_only=True)
    torch.save({name: 0.5 * value if value.is_floating_point() else value for name, value in state.items()}, weights)
    record_sha256(weights.parent)


def test_a_model_is_what_its_folder_holds_at_the_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in ("one", "two"):
        shutil.copytree(find_bundle("rician").folder, tmp_path / place / "mine")
    weaken(tmp_path / "two" / "mine")
    monkeypatch.chdir(tmp_path / "one")
    first = denoise(noisy(), sigma=SIGMA, model="mine")
    np.testing.assert_array_equal(first, denoise(noisy(), sigma=SIGMA))
    monkeypatch.chdir(tmp_path / "two")
    second = denoise(noisy(), sigma=SIGMA, model="mine")
    assert not np.array_equal(first, second)
    weaken(tmp_path / "one" / "mine")
    np.testing.assert_array_equal(denoise(noisy(), sigma=SIGMA, model=str(tmp_path / "one" / "mine")), second)
    assert load("rician", "cpu", False) is load("rician", "cpu", False)


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


def test_noise_does_not_depend_on_where_a_program_has_its_tensors() -> None:
    wanted = estimate_noise(noisy()).level
    cells._network.cache_clear()  # as in a new process
    try:
        torch.set_default_device("meta")
        assert estimate_noise(noisy()).level == wanted
    finally:
        torch.set_default_device(None)
        cells._network.cache_clear()


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
