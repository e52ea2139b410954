"""What is unusual about an image is said in output, record and report, and less is done then, not more.

``python -m pytest -s tests/cli/test_cautions.py`` prints the figures of docs/safety.md.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

import mri_denoise
from mri_denoise.noise.cautions import SENTENCES
from mri_denoise.noise.simulate import add_rician
from mri_denoise.simulation import phantom_affine
from tests.commands import cli
from tests.phantoms import head

SHAPE = (80, 96, 20)
SIGMA = 50.0
CLEAN = 1000 * head(SHAPE)
SPACING = phantom_affine(SHAPE).diagonal()[:3].tolist()
CORNERS = (
    np.hypot(*(np.linspace(-1, 1, n).reshape(shape) for n, shape in zip(SHAPE, ((-1, 1, 1), (1, -1, 1)), strict=False)))
    > 1
)
WRAPPED = (CLEAN < 20) & (np.random.default_rng(2).random(SHAPE) < 0.03)
GRAINY = np.where(CLEAN > 150, 500 + 600 * gaussian_filter(np.random.default_rng(3).normal(size=SHAPE), 0.7), 0)
ALTERNATING = np.where(np.arange(SHAPE[2]) % 2, 60.0, 10.0) * np.ones(SHAPE)


def noisy(sigma: float | np.ndarray = SIGMA, coverage: float = 1.0) -> np.ndarray:
    """The phantom with noise; a coverage below 1 correlates it within slices, which lie along the last axis."""
    level = np.moveaxis(sigma, 2, 0) if isinstance(sigma, np.ndarray) else sigma
    noise = add_rician(np.moveaxis(CLEAN, 2, 0), level, np.random.default_rng(0), coverage=coverage)
    return np.ascontiguousarray(np.moveaxis(noise, 0, 2))


def uneven() -> np.ndarray:
    """Five times as strong in the middle as at the sides, and masked: no air tells that it is even."""
    across = 1 - np.abs(np.linspace(-1, 1, SHAPE[0]))[:, None, None]
    return noisy(SIGMA * (0.4 + 1.6 * across) * np.ones(SHAPE)) * (CLEAN > 20)


def denoised_before() -> np.ndarray:
    return mri_denoise.denoise(noisy(), spacing=SPACING, quality="fast")


@dataclass(frozen=True)
class Image:
    """An image, what is said of it, the value that it counts from, and the image without noise."""

    make: Callable[[], np.ndarray]
    caution: str = ""
    zero: float = 0.0
    truth: np.ndarray = field(default_factory=lambda: CLEAN)


FAR = "values far above the image"
IMAGES = {
    "5 % of noise": Image(noisy),
    "30 %": Image(lambda: noisy(300.0), "strong noise"),
    "denoised before": Image(denoised_before, "hardly any noise"),
    "zero-filled, 60 % of k-space": Image(lambda: noisy(coverage=0.6), "correlated noise"),
    "five times as strong in the middle": Image(uneven, "uneven noise"),
    "1 %, in steps of 1.5 sigma": Image(lambda: (noisy(10.0) / 15).round() * 15, "coarse grey levels"),
    "5 %, corners of 65535": Image(lambda: np.where(CORNERS, 65535, noisy()), FAR),
    "5 %, some air wrapped to 65533 to 65535": Image(lambda: np.where(WRAPPED, 65533 + noisy() % 3 // 1, noisy()), FAR),
    "slices of 1 and of 6 % in turn": Image(lambda: noisy(ALTERNATING), "uneven noise"),
    "grainy tissue, 2 %": Image(lambda: add_rician(GRAINY, 20.0, np.random.default_rng(0)), truth=GRAINY),
    "2 %, less 1024": Image(lambda: noisy(20.0) - 1024, "no plain magnitude", -1024.0),
}


@pytest.mark.parametrize("name", IMAGES)
def test_it_is_said_and_no_more_is_removed_than_noise(tmp_path: Path, name: str) -> None:
    image = IMAGES[name]
    before = image.make().astype(np.float32)
    nib.save(nib.Nifti1Image(before, phantom_affine(SHAPE)), tmp_path / "a.nii")
    done = cli("denoise", tmp_path / "a.nii", tmp_path / "b.nii", "--quality", "fast", "--report")
    record = json.loads((tmp_path / "b.mri-denoise.json").read_text())
    found = record["cautions"]
    assert image.caution in found if image.caution else not found
    said = f"(caution: {', '.join(found)})" if found else "a.nii -> "
    assert said in done.output and ("caution" in done.output) == bool(found)
    assert ("given back" in done.output) == (sum(record["returned"]) > 0)
    page = (tmp_path / "b_report.html").read_text()
    assert all(SENTENCES[one] in page for one in found)
    after = np.asarray(nib.load(tmp_path / "b.nii").dataobj, dtype=np.float32)
    outlying = before > 10000
    assert np.array_equal(after[outlying], before[outlying])
    tissue, truth = (CLEAN > 200) & ~outlying, image.truth + image.zero
    noise, removed = (np.std((before - other)[tissue]) for other in (truth, after))
    errors = [np.sqrt(np.mean(np.square(other - truth)[tissue])) for other in (after, before)]
    print(f"\n| {name} | {', '.join(found) or '-'} | {removed / noise:.2f} | {errors[0] / errors[1]:.2f} |")
    assert removed < 1.02 * noise and errors[0] < 1.02 * errors[1]


def error_of_default(path: Path, truth: np.ndarray, level: np.ndarray, where: np.ndarray | bool = True) -> float:
    """Error of the default's result over that of a noisy image, where it is looked at; written and read as a file."""
    before = add_rician(truth, level, np.random.default_rng(0)).astype(np.float32)
    nib.save(nib.Nifti1Image(before, np.diag([1.5, 1.5, 4.0, 1.0])), path / "a.nii")
    cli("denoise", path / "a.nii", path / "b.nii")
    after = np.asarray(nib.load(path / "b.nii").dataobj, dtype=np.float32)
    errors = [np.sqrt(np.mean(np.square(image - truth), where=where)) for image in (after, before)]
    return float(errors[0] / errors[1])


@pytest.mark.parametrize("sigma", [40.0, 60.0])
def test_even_tissue_without_air_keeps_its_signal(tmp_path: Path, sigma: float) -> None:
    """As a liver that fills the image: it lost half of its signal, by default and not with ``--quality fast``."""
    course = gaussian_filter(np.random.default_rng(3).normal(size=(112, 112, 16)), (8, 8, 3))
    truth = 300 + 30 * course / course.std()
    error = error_of_default(tmp_path, truth, np.full(truth.shape, sigma))
    print(f"\n| even tissue of 300 without air, noise of {sigma:g} | {error:.2f} |")
    assert error < 0.3


@pytest.mark.parametrize(("quiet", "most"), [(10.0, 1.0), (5.0, 1.2)])
def test_quiet_slices_among_noisy_ones_keep_their_detail(tmp_path: Path, quiet: float, most: float) -> None:
    truth = 1000 * head((112, 136, 16))
    here = np.isin(np.arange(16), [7, 8]) * np.ones(truth.shape)
    error = error_of_default(tmp_path, truth, np.where(here, quiet, 40.0), (here > 0) & (truth > 100))
    print(f"\n| two slices with noise of {quiet:g} among fourteen of 40 | {error:.2f} |")
    assert error < most


def test_a_series_says_what_is_true_of_some_volume(tmp_path: Path) -> None:
    volumes = [noisy(), noisy(20.0) - 1024]
    nib.save(nib.Nifti1Image(np.stack(volumes, axis=-1), phantom_affine(SHAPE)), tmp_path / "a.nii")
    cli("denoise", tmp_path / "a.nii", tmp_path / "b.nii", "--quality", "fast", "--sigma", "50")
    assert json.loads((tmp_path / "b.mri-denoise.json").read_text())["cautions"] == ["no plain magnitude"]
