"""A small version of ``benchmark safety`` on the weights that ship, held to limits that no weights may break."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mri_denoise.benchmarks.baselines import Slicing
from mri_denoise.benchmarks.baselines.learned import Learned, learned
from mri_denoise.benchmarks.safety import clean, fine, lesions, nothing
from mri_denoise.benchmarks.safety.plan import PEAK, Plan
from mri_denoise.benchmarks.safety.scene import EDGE, TISSUE, Scene
from mri_denoise.benchmarks.safety.structures import find_structures
from mri_denoise.benchmarks.safety.symmetry import CHANGES, differences
from mri_denoise.bundles.registry import bundles_folder, find_bundle
from mri_denoise.bundles.weights import record_sha256
from mri_denoise.denoiser import Denoiser
from mri_denoise.noise.simulate import add_rician

SHAPE = (36, 36, 24)
PLAN = Plan(shape=SHAPE)


@pytest.fixture(scope="module")
def ours() -> Learned:
    return learned(Denoiser.load("rician", device="cpu"), Slicing(quality="fast"))


def test_volumes_without_noise_come_back_bit_for_bit(ours: Learned) -> None:
    for name, volume in clean.odd_volumes(PLAN).items():
        np.testing.assert_array_equal(ours(volume), volume, err_msg=name)


def test_of_noise_alone_nothing_is_made(ours: Learned) -> None:
    noisy, sigma = nothing.uniform(PLAN)["white"]
    result = ours(noisy, float(sigma))
    left = result - noisy.mean()
    assert find_structures(left / float(sigma)) == (0, 0) and left.std() < 0.5 * noisy.std()


@pytest.mark.parametrize("name", ["times 0.001", "times 1000000"])
def test_the_unit_of_the_image_does_not_matter(ours: Learned, name: str) -> None:
    noisy, sigma = nothing.uniform(PLAN)["white"]
    change, back, factor = CHANGES[name]
    results = ours(noisy, float(sigma)), back(ours(change(noisy), float(sigma) * factor))
    assert differences(*results, float(sigma))[0] < 0.01


def test_the_guard_keeps_a_lesion_and_can_be_left_out(ours: Learned) -> None:
    clear = np.full(SHAPE, PEAK / 2, np.float32)
    site = lesions.Site(centre=(18, 18, 12), tissue="white", diameter=1.2, amplitude=8.0, sign=1)
    lesion = lesions.sphere(np.ones(3), site.diameter)
    images = [add_rician(image, PLAN.sigma, np.random.default_rng(0)) for image in (_with(clear, lesion, site), clear)]
    kept = []
    for method in (ours, replace(ours, guard=False)):
        with_lesion, without = (method(image, PLAN.sigma)[site.patch] for image in images)
        kept.append(lesions.contrast_kept(with_lesion, without, lesion * site.amplitude * PLAN.sigma))
    assert kept[0] > 0.6 and kept[0] >= kept[1] - 0.01
    assert ours.identity() != replace(ours, guard=False).identity()


def test_scores_of_other_weights_of_the_second_network_are_not_reused(tmp_path: Path) -> None:
    folder = shutil.copytree(bundles_folder() / "hmad_rician", tmp_path / "hmad_rician")
    before = learned(Denoiser(find_bundle(str(folder)), device="cpu"))
    made_by = before.implementation()
    refine = folder / "models" / "refine.pt"
    state = torch.load(refine, weights_only=True)
    torch.save({name: 1.01 * value for name, value in state.items()}, refine)
    record_sha256(refine.parent)
    after = replace(before, model=Denoiser(find_bundle(str(folder)), device="cpu"))
    assert before.model.model == after.model.model and made_by != after.implementation()


def test_a_vessel_and_irregular_lesions_keep_their_form(ours: Learned) -> None:
    clear = np.full(SHAPE, PEAK / 2, np.float32)
    inside = np.zeros(SHAPE, dtype=bool)
    inside[4:-4, 4:-4, 4:-4] = True
    plan = replace(PLAN, draws=2, diameters=(4.0,), amplitudes=(8.0,), sites=1)
    clear[:, :18] *= 0.6  # an edge
    places = {TISSUE: inside, EDGE: inside & (np.abs(np.arange(36) - 17.5) < 1)[:, None]}
    scene = Scene(
        label="", truth=clear, affine=np.eye(4), slice_axis=2, inside=inside, places=places, sigma=PLAN.sigma, plan=plan
    )
    found = {(f.case, f.measure): f.value for f in fine.measure(ours, scene)[0]}
    kept = {case: value for (case, measure), value in found.items() if measure == "contrast kept"}
    thin = kept.pop("1 voxel, 8 sigma")  # each of its voxels holds but a part of it
    assert len(kept) == 3 and min(kept.values()) > 0.6 and thin > 0.2
    assert found["2 voxels, 8 sigma", "width, of the true one"] < 1.25
    assert found["steepest 5 %", "width of edges, of the true one"] < 1.1


def _with(image: np.ndarray, lesion: np.ndarray, site: lesions.Site) -> np.ndarray:
    changed = image.copy()
    changed[site.patch] += np.float32(site.amplitude * PLAN.sigma) * lesion.astype(np.float32)
    return changed
