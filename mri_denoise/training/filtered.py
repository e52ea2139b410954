"""Make the crops that the refining network learns from: training volumes with noise, and what the filter makes of them.

More than half of the crops are clean (:mod:`mri_denoise.training.coarse`); the others are volumes as they come, whose
own noise and texture the result should keep, and denoised references. Most have noise of a known kind and a level that
is told exactly or within some percent. Some of the others go through a random simulated scanner and have the noise
that is found in them, as images of users do, if it is not far from the true one: otherwise the network would learn to
make up for wrong estimates, which it cannot know.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mri_denoise.bundles.registry import Bundle
from mri_denoise.errors import InputError, find_error, reason
from mri_denoise.inference.collaborative_filter import filter_blocks
from mri_denoise.inference.floor import match_floor
from mri_denoise.inference.slice_plan import plan_slices
from mri_denoise.inference.slices import SliceDenoiseInferer
from mri_denoise.io.files import write_beside
from mri_denoise.noise.correlation import MAX_LAG
from mri_denoise.noise.model import find_noise
from mri_denoise.noise.simulate import draw_noise, noise_filters, smooth_field
from mri_denoise.simulation.scanner import scan
from mri_denoise.simulation.scanner_choice import random_parameters
from mri_denoise.training.anatomy import add_spots, plain_anatomy, random_anatomy
from mri_denoise.training.coarse import coarse_anatomy
from mri_denoise.training.sources import Anatomy, Source, find_sources
from mri_denoise.transforms.filtered import GREYS

LEVELS = (0.004, 0.5)  # of the maximum; small values are as likely as large ones
_SIZE = 112  # pixels of a crop's edge
_SLICES = {1: 0.04, 10: 0.16, 14: 0.3, 24: 0.5}  # of a crop, with their probabilities
_CLEAN = 0.58  # fraction of the crops whose object is clean
_SCANNERS = 0.2  # fraction of the others that go through a simulated scanner
_SCANNED = 0.4  # of the level for them: the g-factor raises it
_FOUND = (0.75, 1.33)  # median of the found by the true level, beyond which a crop is drawn again
_CORRELATED, _UNEVEN, _MASKED, _ALONE = 0.25, 0.25, 0.2, 0.06  # fractions
_ERROR = 0.06  # standard deviation of the logarithm of the level that is told
_SPOTTED = 0.3  # fraction of the crops with small structures
_EMPTY = 0.15  # fraction of tissue below which a crop is drawn again


@dataclass(frozen=True, kw_only=True)
class _Noisy:
    """A noisy crop with its noise. Maps have the shape (X, Y, slices).

    Args:
        truth: the object.
        image: with noise, and with the bias of Rician noise.
        sigma: level that is told; a number or a map.
        correlation: of the noise, shape (3, lags).
    """

    truth: np.ndarray
    image: torch.Tensor
    sigma: torch.Tensor
    correlation: np.ndarray


def make_filtered(
    dataset: Path, output: Path, bundle: Bundle, count: int, seed: int = 0, part: str = "training"
) -> Iterator[Path]:
    """Write crops. Those that exist are kept, so that an interrupted run can go on.

    A file (``.npz``) holds ``truth``, ``noisy``, ``pilot`` (the first network's result) and ``filtered``, all int16 of
    shape (slices, H, W), :data:`~mri_denoise.transforms.filtered.GREYS` times the intensity on the network's scale;
    ``sigma``, float32, a number or of that shape; and ``contiguous``.

    Args:
        dataset: folder with ``datalist.json``, as ``mri-denoise data prepare`` and ``data references`` make it.
        output: folder of the crops.
        bundle: whose network gives the pilot.
        count: how many.
        seed: of all choices and of the noise; crop ``i`` does not depend on ``count``.
        part: list of the datalist.

    Yields:
        the path of each crop.

    Raises:
        InputError: if there is no usable datalist, a volume cannot be read, or the bundle cannot be used.
    """
    families = find_sources(dataset, part)
    network = _load_network(bundle)
    output.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        path = output / f"crop_{seed}_{index:05d}.npz"
        if not path.exists():
            arrays: dict[str, Any] = _random_crop(families, network, np.random.default_rng([seed, index]))
            with write_beside(path) as temporary, open(temporary, "wb") as file:
                np.savez(file, **arrays)
        yield path


def _load_network(bundle: Bundle) -> torch.nn.Module:
    """The network that gives the pilot; the one that refines need not be there yet."""
    from monai.bundle import ConfigParser

    parser = ConfigParser()
    try:
        parser.read_config(str(bundle.config("inference.yaml")))
        parser.update({"bundle_root": str(bundle.folder), "device": "$torch.device('cpu')"})
        return parser.get_parsed_content("network")
    except Exception as error:
        raise find_error(error) or InputError(f"{bundle.folder}: cannot be used ({reason(error)}).") from error


def _random_crop(
    families: list[list[Source]], network: torch.nn.Module, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Draw a crop, denoise it as inference does up to the refining network, and give what is kept of it."""
    noisy = None
    while noisy is None:
        level = float(np.exp(rng.uniform(*np.log(LEVELS))))
        clean = rng.random() < _CLEAN
        scanned = not clean and rng.random() < _SCANNERS
        if clean:
            anatomy = coarse_anatomy(families, rng, _SIZE, max(_SLICES))
        else:
            anatomy = (
                random_anatomy(families, level, rng, _SLICES) if scanned else plain_anatomy(families, rng, _SLICES)
            )
        top = float(np.percentile(anatomy.array, 99.9)) or 1.0
        anatomy = Anatomy(array=anatomy.array / top, voxel=anatomy.voxel)
        if scanned:
            noisy = _scanned(anatomy, _SCANNED * level, rng)
        else:
            noisy = _added(anatomy, level, 0 if clean else _ERROR, rng)
        if noisy is not None and np.mean(noisy.truth > max(0.05, level)) < _EMPTY:
            noisy = None
    contiguous = noisy.truth.shape[2] > 1 and rng.random() > _ALONE
    affine = torch.diag(torch.tensor([*anatomy.voxel, 1.0], dtype=torch.float64))
    plan = plan_slices(noisy.truth.shape, affine, planes=1, slice_axis=2, contiguous=contiguous)
    inferer = SliceDenoiseInferer(num_slices=5, noise_map=True, precision="float32")
    with torch.inference_mode():
        told = noisy.sigma.reshape(1, 1) if noisy.sigma.ndim == 0 else noisy.sigma[None, None]
        pilot = inferer(noisy.image[None, None], network, sigma=told, slice_axis=2, contiguous=contiguous)[0, 0]
        filtered = filter_blocks(noisy.image, pilot.clone(), noisy.sigma, 2, plan.blocks, noisy.correlation, passes=2)
    images = {"truth": noisy.truth, "noisy": noisy.image, "pilot": pilot, "filtered": filtered}
    stored = {name: _stored(np.asarray(image)) for name, image in images.items()}
    sigma = noisy.sigma.numpy()
    return {
        **stored,
        "sigma": (np.moveaxis(sigma, 2, 0) if sigma.ndim else sigma).astype(np.float32),
        "contiguous": np.asarray(contiguous),
    }


def _stored(image: np.ndarray) -> np.ndarray:
    return np.round(GREYS * np.moveaxis(image, 2, 0)).clip(-32768, 32767).astype(np.int16)


def _scanned(anatomy: Anatomy, level: float, rng: np.random.Generator) -> _Noisy | None:
    """Put an object through a random scanner, find its noise, and cut a part out; None if the noise is not found."""
    parameters = dataclasses.replace(random_parameters(rng), level=level)
    found = scan(anatomy.array, anatomy.voxel, parameters, rng, bore_axis=int(rng.integers(3)))
    model = find_noise(found.image, slice_axis=2)
    tissue = (found.truth > found.sigma) & (found.sigma > 0)
    ratio = np.median((model.sigma / found.sigma)[tissue]) if tissue.any() else 0.0
    if not _FOUND[0] < ratio < _FOUND[1]:
        return None
    top = float(np.percentile(found.image, 99.9)) or 1.0
    part = _part(found.truth, rng)
    image, sigma = match_floor(
        torch.from_numpy(found.image / top),
        torch.from_numpy(np.asarray(model.sigma / top, dtype=np.float32)),
        torch.from_numpy(np.asarray(model.floor_ratio, dtype=np.float32)),
        model.coils,
    )
    return _Noisy(
        truth=found.truth[part] / top,
        image=image[part].contiguous(),
        sigma=sigma if sigma.ndim == 0 else sigma[part].contiguous(),
        correlation=model.correlation,
    )


def _added(anatomy: Anatomy, level: float, error: float, rng: np.random.Generator) -> _Noisy:
    """Cut a part out of an object and add Rician noise: white or correlated, even or not."""
    truth = np.asarray(anatomy.array[_part(anatomy.array, rng)], dtype=np.float32)
    if rng.random() < _SPOTTED:
        truth = add_spots(truth, anatomy.voxel, level, rng)
    correlation = _random_correlation(rng)
    filters = torch.from_numpy(noise_filters(correlation))[None].expand(2, -1, -1)
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    real, imaginary = draw_noise((2, *truth.shape), filters, generator).numpy()
    sigma = np.asarray(level, dtype=np.float32)
    if rng.random() < _UNEVEN:
        sigma = sigma * smooth_field(truth.shape, rng, 0.5, 2.0)
    image = np.hypot(truth + sigma * real, sigma * imaginary)
    if rng.random() < _MASKED:
        image[truth == 0] = 0
    told = sigma * np.float32(np.exp(rng.normal(0, error)))
    return _Noisy(
        truth=truth, image=torch.from_numpy(image), sigma=torch.from_numpy(np.asarray(told)), correlation=correlation
    )


def _random_correlation(rng: np.random.Generator) -> np.ndarray:
    """Correlation of white noise, or of noise whose k-space ends early or softly along some axes: shape (3, lags)."""
    correlation = np.zeros((3, MAX_LAG + 1))
    correlation[:, 0] = 1
    if rng.random() < _CORRELATED:
        frequencies = np.abs(np.fft.fftfreq(256)) * 2
        for axis in range(3):
            if axis < 2 or rng.random() < 0.2:
                end, softness = rng.uniform(0.6, 1), rng.uniform(0.01, 0.3)
                response = np.clip((end - frequencies) / softness + 0.5, 0, 1) ** 2
                along = np.fft.ifft(response).real[: MAX_LAG + 1]
                correlation[axis] = along / along[0]
    return correlation


def _part(truth: np.ndarray, rng: np.random.Generator) -> tuple[slice, slice]:
    """A random part of slices, the best of four by its share of tissue."""
    tissue = truth.mean(axis=2) > 0.1 * np.percentile(truth, 99)
    best, most = (slice(None), slice(None)), -1.0
    for _ in range(4):
        starts = [int(rng.integers(max(length - _SIZE, 0) + 1)) for length in tissue.shape]
        part = slice(starts[0], starts[0] + _SIZE), slice(starts[1], starts[1] + _SIZE)
        if (share := float(tissue[part].mean())) > most:
            best, most = part, share
    return best
