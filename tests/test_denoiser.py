"""A bundle's network in memory gives what the command gives through files."""

from __future__ import annotations

import multiprocessing
import shutil
from concurrent.futures import ProcessPoolExecutor
from itertools import combinations
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.data import set_track_meta
from PIL import Image

from mri_denoise.benchmarks.baselines import Slicing
from mri_denoise.benchmarks.baselines.learned import learned
from mri_denoise.bundles.registry import Bundle, find_bundle
from mri_denoise.denoiser import Denoiser
from mri_denoise.errors import InputError
from mri_denoise.io import discover
from mri_denoise.noise.simulate import add_rician, add_salt_pepper
from mri_denoise.pipeline.batch import denoise_cases
from mri_denoise.settings import Quality, Settings, Sigma
from mri_denoise.simulation import head_phantom, phantom_affine
from mri_denoise.training.train import export_weights
from mri_denoise.volume import Volume
from tests.phantoms import head

ROOT = Path(__file__).parents[1]
SHAPE = (34, 36, 33)
AFFINE = phantom_affine(SHAPE)


def random_weights(bundle: Path, config: list[str], target: str = "model.pt") -> None:
    """Weights that change the image, for the network that the configs define."""
    parser = ConfigParser()
    parser.read_config([str(bundle / "configs" / name) for name in config])
    torch.manual_seed(0)
    network = parser.get_parsed_content("network_def")
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("weight") and parameter.ndim > 1:
                parameter.normal_(std=0.02)
    torch.save(network.state_dict(), bundle / "state.pt")
    weights = export_weights(bundle / "state.pt", bundle / "exported")
    (bundle / "models").mkdir(exist_ok=True)
    shutil.copy(weights, bundle / "models" / target)


def make_bundle(source: str, folder: Path) -> Bundle:
    shutil.copytree(ROOT / "bundles" / source, folder, ignore=shutil.ignore_patterns("model.pt", "SHA256SUMS", "train"))
    random_weights(folder, ["inference.yaml"])
    return find_bundle(str(folder))


@pytest.fixture(scope="module")
def rician(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_bundle("hmad_rician", tmp_path_factory.mktemp("bundle") / "rician")


@pytest.fixture(scope="module")
def model(rician: Bundle) -> Denoiser:
    return Denoiser(rician, device="cpu")


@pytest.fixture(scope="module")
def noisy() -> np.ndarray:
    clean = 700 * head_phantom(SHAPE)
    clean[:, :, :6] = 0
    image = add_rician(clean.astype(np.float32), 35.0, np.random.default_rng(0))
    image[:, :, :4] = 0  # masked air, which stays empty
    return image


@pytest.mark.parametrize("quality", ["fast", "best"])
@pytest.mark.parametrize("sigma", [None, 30.0])
def test_equals_what_the_command_writes(
    tmp_path: Path, rician: Bundle, model: Denoiser, noisy: np.ndarray, quality: Quality, sigma: float | None
) -> None:
    nib.save(nib.Nifti1Image(noisy, AFFINE), tmp_path / "in.nii.gz")
    cases, _ = discover(tmp_path / "in.nii.gz")
    level = Sigma() if sigma is None else Sigma.parse(sigma)
    settings = Settings(sigma=level, quality=quality, device="cpu")
    [outcome] = denoise_cases(rician, cases, tmp_path / "out", settings)
    assert outcome.error is None
    written = nib.load(tmp_path / "out" / cases[0].output).get_fdata(dtype=np.float32)
    result = learned(model, Slicing(quality=quality, slice_axis=2))(noisy, sigma)
    np.testing.assert_array_equal(result, written)
    assert not np.array_equal(result, noisy) and not result[:, :, :3].any()


@pytest.mark.parametrize("across", [1.0, 5.0])
def test_each_quality_is_another_for_isotropic_voxels_and_thick_slices(
    model: Denoiser, noisy: np.ndarray, across: float
) -> None:
    """In thick slices, one plane for all, best has a finer filter."""
    affine = np.diag([1, 1, across, 1.0])
    results = [learned(model, Slicing(quality=one, affine=affine))(noisy, 30.0) for one in ("fast", "balanced", "best")]
    assert not any(np.array_equal(one, other) for one, other in combinations(results, 2))


def test_a_pickled_one_gives_the_same_in_another_process(model: Denoiser, noisy: np.ndarray) -> None:
    volume = Volume(array=noisy[None], affine=AFFINE)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        there = pool.submit(model, volume, sigma=30.0).result()
    assert np.array_equal(there.array, model(volume, sigma=30.0).array)


def test_a_picture_equals_what_the_command_writes(tmp_path: Path) -> None:
    bundle = make_bundle("hmad_salt_pepper", tmp_path / "salt")
    clean = np.rint(255 * head_phantom((40, 44, 8))[:, :, 4]).astype(np.float32)
    pixels = add_salt_pepper(clean, 0.1, np.random.default_rng(0), salt=255.0)
    Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "in.png")
    cases, _ = discover(tmp_path / "in.png")
    [outcome] = denoise_cases(bundle, cases, tmp_path / "out", Settings(device="cpu"))
    assert outcome.error is None
    with Image.open(tmp_path / "out" / cases[0].output) as image:
        written = np.asarray(image, dtype=np.float32)
    denoiser = learned(Denoiser(bundle, device="cpu"), Slicing(white_level=255.0), noise=("salt-pepper",))
    assert not denoiser.uses_sigma
    result = denoiser(pixels)
    assert result.shape == pixels.shape
    np.testing.assert_array_equal(np.rint(np.clip(result, 0, 255)), written)


@pytest.mark.parametrize("source", ["hmad_rician", "hmad_salt_pepper"])
def test_dncnn_is_the_same_bundle_with_another_network(tmp_path: Path, source: str) -> None:
    from mri_denoise.networks import DnCNN

    bundle = make_bundle(source, tmp_path / "bundle")
    with pytest.raises(InputError, match="dncnn.pt: no such weights"):
        Denoiser(bundle, overlay="dncnn.yaml", device="cpu")
    random_weights(bundle.folder, ["inference.yaml", "dncnn.yaml"], "dncnn.pt")
    model, own = Denoiser(bundle, overlay="dncnn.yaml", device="cpu"), Denoiser(bundle, device="cpu")
    assert isinstance(model.network, DnCNN) and model.model.weights_sha256 != own.model.weights_sha256
    assert model.config_sha256 != own.config_sha256
    image = np.random.default_rng(0).random((20, 22, 9), dtype=np.float32)
    assert learned(model)(image, 0.1).shape == image.shape
    # the same inputs as the bundle's network, in training too
    train: Any = ConfigParser()
    train.read_config([str(bundle.config("train.yaml")), str(bundle.config("dncnn.yaml"))])
    inputs = (train.get_parsed_content("num_slices"), int(model.uses_sigma))
    assert train.get_parsed_content("network_def").input_channels == sum(inputs)


@pytest.mark.parametrize("strength", [0.0, 1.0])
def test_the_input_is_left_alone_and_keeps_its_odd_values(model: Denoiser, noisy: np.ndarray, strength: float) -> None:
    array = noisy[None].copy()
    array[0, 4, 5, 6], array[0, 7, 8, 6] = np.nan, np.inf
    before = array.copy()
    result = model(Volume(array=array, affine=np.eye(4)), sigma=20, strength=strength)
    np.testing.assert_array_equal(array, before)
    assert not np.may_share_memory(result.array, array)
    np.testing.assert_array_equal(np.isfinite(result.array), np.isfinite(array))
    assert np.array_equal(result.array, array, equal_nan=True) == (strength == 0)


def test_another_programs_defaults_of_torch_change_nothing(rician: Bundle, noisy: np.ndarray) -> None:
    volume = Volume(array=noisy[None, :, :, 8:20], affine=AFFINE)
    wanted = Denoiser(rician, device="cpu")(volume, quality="fast")
    usual = torch.get_default_dtype()
    try:
        torch.set_default_device("meta")  # as cuda, in that arrays cannot be made of it
        torch.set_default_dtype(torch.bfloat16)
        found = Denoiser(rician, device="cpu")(volume, quality="fast")
        assert torch.empty(1).device.type == "meta"
    finally:
        torch.set_default_dtype(usual)
        torch.set_default_device(None)
    np.testing.assert_array_equal(found.array, wanted.array)


def test_without_metadata_there_is_one_line(model: Denoiser, noisy: np.ndarray) -> None:
    set_track_meta(False)
    try:
        with pytest.raises(InputError, match=r"call monai.data.set_track_meta\(True\) before"):
            model(Volume(array=noisy[None], affine=AFFINE))
    finally:
        set_track_meta(True)


@pytest.mark.parametrize(
    ("volume", "words"),
    [
        (np.zeros((1, 9, 9, 9), "f4"), "image of type ndarray: a denoiser takes a Volume"),
        (Volume(array=np.zeros((9, 9, 9), "f4"), affine=np.eye(4)), r"volume of shape \(9, 9, 9\): must be"),
        (Volume(array=np.zeros((1, 9, 0, 9), "f4"), affine=np.eye(4)), r"volume of shape \(1, 9, 0, 9\): must be"),
        (Volume(array=np.zeros((1, 9, 9, 9), "c8"), affine=np.eye(4)), "volume of type complex64: must be"),
        (Volume(array=torch.zeros(1, 9, 9, 9), affine=np.eye(4)), "volume of Tensor: must be"),
        (Volume(array=np.zeros((1, 9, 9, 9), "f4"), affine=None), r"affine of shape \(\): must be 4 x 4"),
    ],
)
def test_what_is_no_volume_is_one_line(model: Denoiser, volume: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        model(volume)


def test_a_bundle_that_does_not_name_its_steps_is_told_what_it_lacks(tmp_path: Path) -> None:
    bundle = make_bundle("hmad_rician", tmp_path / "bundle")
    config = bundle.folder / "configs" / "inference.yaml"
    text = config.read_text()
    config.write_text(text.replace("denoise: [", "steps: ["))
    with pytest.raises(InputError, match=r"inference.yaml lacks denoise; .*python -m monai.bundle run"):
        Denoiser.load(str(bundle.folder), trust=True)
    config.write_text(text.replace("infer, return_signal, unscale, restore", "unscale, restored"))
    with pytest.raises(InputError, match="lacks restored"):
        Denoiser.load(str(bundle.folder), trust=True)
    config.write_text(text.replace("keys: pred\n  strength", "kees: pred\n  strength"))
    with pytest.raises(InputError, match=r"bundle: cannot be used \(.*\)\.$"):
        Denoiser.load(str(bundle.folder), trust=True)


def test_what_came_back_is_counted_unless_nobody_looks(noisy: np.ndarray) -> None:
    denoiser, volume = Denoiser.load("rician"), Volume(array=noisy[None], affine=AFFINE)
    found = {}
    for guard in (True, False):
        settings = Settings(sigma=Sigma(kind="level", level=30.0), guard=guard)
        found[guard] = denoiser.finish(denoiser.measure(volume, settings)).returned
    assert found[False] is None and found[True] is not None and 0 <= found[True][0] < 0.03 * noisy.size


def denoised(image: np.ndarray, denoiser: Denoiser) -> np.ndarray:
    """What becomes of a volume of thick slices."""
    volume = Volume(array=image[None].astype(np.float32), affine=np.diag([1.0, 1.0, 3.0, 1.0]))
    return denoiser(volume, quality="fast").array[0]


@pytest.fixture(scope="module")
def usual(model: Denoiser) -> tuple[np.ndarray, np.ndarray]:
    """A noisy head and its result, float32 (X, Y, Z)."""
    rng, clean = np.random.default_rng(0), 1000 * head((48, 56, 16))
    noisy = np.hypot(clean + rng.normal(0, 50, clean.shape), rng.normal(0, 50, clean.shape)).astype(np.float32)
    return noisy, denoised(noisy, model)


@pytest.mark.parametrize("change", [(1, 1024), (1, -1024), (-1, 4000)])
def test_an_image_at_an_offset_gets_the_same_result_at_that_offset(
    model: Denoiser, usual: tuple[np.ndarray, np.ndarray], change: tuple[float, float]
) -> None:
    sign, offset = change
    noisy, result = usual
    back = sign * (denoised(np.float32(sign) * noisy + np.float32(offset), model) - offset)
    assert back.min() > -0.1 * 50
    error = np.abs(back - result)
    assert np.mean(error) < 2.0 and np.square(error).mean() < 0.1 * np.square(result - noisy).mean()


def test_masked_voxels_of_any_value_keep_their_bits(model: Denoiser) -> None:
    rng, clean = np.random.default_rng(0), 1000 * head((48, 56, 16))
    noisy = np.hypot(clean + rng.normal(0, 50, clean.shape), rng.normal(0, 50, clean.shape))
    for fill in (-1024.3, 17.1):
        image = np.where(clean > 100, noisy + max(fill, 0), fill).astype(np.float32)
        result = denoised(image, model)
        masked = image == np.float32(fill)
        assert np.array_equal(result[masked], image[masked]) and (result[~masked] > fill).all()
