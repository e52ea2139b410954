"""Fine structure of ``benchmark safety``: the objects, the scenes, and measures whose value is known beforehand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage, stats

from mri_denoise.benchmarks.baselines import BASELINES, NOISY
from mri_denoise.benchmarks.references import references_in
from mri_denoise.benchmarks.safety import averaging, fine, tissue
from mri_denoise.benchmarks.safety.findings import Finding
from mri_denoise.benchmarks.safety.pictures import draw_slices
from mri_denoise.benchmarks.safety.plan import Head, Plan
from mri_denoise.benchmarks.safety.scene import EDGE, TISSUE, Scene
from mri_denoise.benchmarks.safety.shapes import irregular, vessel
from mri_denoise.errors import InputError
from tests.phantoms import head

PLAN = Plan(shape=(36, 45, 36), draws=2, diameters=(10.0,), amplitudes=(10.0,), sites=2)


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene.of_head(Head.draw(PLAN.shape), PLAN)


def of(findings: list[Finding], part: str, measure: str) -> list[float]:
    return [f.value for f in findings if f.part == part and f.measure == measure and f.value is not None]


@pytest.mark.parametrize("voxel", [np.ones(3), np.array([1.0, 1.0, 3.0])])
def test_irregular_lesions_are_one_piece_of_their_volume_and_not_round(voxel: np.ndarray) -> None:
    for seed in range(3):
        share = irregular(voxel, 8.0, np.random.default_rng(seed))
        assert 0.6 < share.sum() * voxel.prod() / (np.pi / 6 * 8**3) <= 1.02 and share.max() == 1
        assert all(n % 2 for n in share.shape)
        assert ndimage.label(share > 0, np.ones((3, 3, 3)))[1] == 1
        assert np.array_equal(share, irregular(voxel, 8.0, np.random.default_rng(seed)))
        places = np.argwhere(share > 0.5) * voxel
        spread = np.linalg.norm(places - places.mean(0), axis=1).max()
        assert spread > 1.15 * 4  # farther from its middle than a sphere reaches


def test_vessels_have_their_length_and_width() -> None:
    share, distance = vessel(np.ones(3), 2.0, 20.0, np.random.default_rng(0))
    assert share.sum() == pytest.approx(np.pi * 20, rel=0.15)
    assert share[distance > 2].max() == 0 and share[distance < 0.3].min() > 0.9


def test_objects_are_where_they_belong_and_apart(scene: Scene) -> None:
    cells = {one.cell for one in scene.objects}
    lesions = {f"{place}, 10 mm, 10 sigma" for place in (TISSUE, EDGE)}
    assert cells == lesions | {"1 voxel, 10 sigma", "2 voxels, 10 sigma"}
    filled = np.zeros(scene.truth.shape, dtype=int)
    for one in scene.objects:
        filled[one.patch] += one.share > 0
        middle = tuple((s.start + s.stop) // 2 for s in one.patch)
        assert scene.places[EDGE if one.cell.startswith(EDGE) else TISSUE][middle]
    assert filled.max() == 1 and scene.image.min() >= 0
    assert np.array_equal(scene.image, replace(scene, truth=scene.truth.copy()).image)


def test_doing_nothing_keeps_all_and_a_filter_blurs(scene: Scene) -> None:
    nothing, shown = fine.measure(NOISY, scene)
    blurred, _ = fine.measure(BASELINES["gaussian"], scene)
    for part in (fine.LESIONS, fine.VESSELS):
        assert min(of(nothing, part, "contrast kept")) > 0.85 > 0.75 > max(of(blurred, part, "contrast kept"))
    assert max(of(nothing, fine.VESSELS, "width, of the true one")) < 1.15
    assert min(of(blurred, fine.VESSELS, "width, of the true one")) > 1.2
    assert of(nothing, fine.EDGES, "width of edges, of the true one") == pytest.approx([1], abs=0.03)
    assert of(blurred, fine.EDGES, "width of edges, of the true one")[0] > 1.2
    assert shown.shape == scene.cut(scene.image).shape and np.abs(shown - scene.cut(scene.image)).mean() < 1.2


def test_an_edge_of_twice_the_width_has_half_the_slope() -> None:
    x = np.linspace(-8, 8, 161)[:, None, None] * np.ones((1, 4, 4))
    edges = np.abs(x) < 0.05
    for width in (2.0, 3.0):
        kept = fine.slope_kept(stats.norm.cdf(x), stats.norm.cdf(x / width), edges)
        assert kept == pytest.approx(1 / width, rel=0.01)


def test_ranks_of_uncertainty_are_those_of_scipy() -> None:
    rng = np.random.default_rng(0)
    spread = rng.uniform(1, 5, 20000)
    error = np.abs(spread * rng.standard_normal(20000))
    assert averaging.ranked(spread, error) == pytest.approx(stats.spearmanr(spread, error)[0])
    assert averaging.ranked(np.ones(5), np.arange(5.0)) == 0
    high, low = (np.sqrt(np.mean(np.square(part))) for part in ((4.6, 5.0), (1.0, 1.4)))
    assert averaging.contrast_of_deciles(spread, error) == pytest.approx(high / low, rel=0.1)
    assert averaging.measure(NOISY, None) == []  # type: ignore[arg-type]


def test_real_volumes_of_a_folder(tmp_path: Path) -> None:
    clean = (1000 * head((40, 44, 36))).astype(np.float32)
    for name in ("a.nii.gz", "b.nii"):
        nib.save(nib.Nifti1Image(clean, np.diag([1.0, 1.0, 1.2, 1.0])), tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    first, second = references_in([tmp_path])
    assert (first.label, second.label) == ("a", "b")
    scene = Scene.of_volume(first.label, first.load(24), replace(PLAN, diameters=(4.0,), sites=1))
    assert scene.truth.shape == (40, 44, 24) and len(scene.objects) == 4
    found, shown = fine.measure(NOISY, scene)
    assert {f.part for f in found} == {"irregular lesions, a", "vessels, a", "edges, a"}
    path = draw_slices(scene.cut(scene.image), {"Noisy": shown}, tmp_path / "out" / "a.png")
    assert path.stat().st_size > 5000
    (tmp_path / "empty").mkdir()
    for wrong in (tmp_path / "nowhere.nii", tmp_path / "empty"):
        with pytest.raises(InputError, match=wrong.name):
            references_in([wrong])


def test_tissue_of_a_real_volume(tmp_path: Path) -> None:
    """Three classes of the intensities: nothing shifts without a change, and contrast that was halved is found."""
    rng = np.random.default_rng(0)
    levels = np.repeat([200.0, 600.0, 900.0], 12)[:, None, None] * np.ones((36, 32, 20))
    clean = (levels + rng.normal(0, 20, levels.shape)).astype(np.float32)
    nib.save(nib.Nifti1Image(clean, np.eye(4)), tmp_path / "brain.nii")
    scene = Scene.of_volume("brain", references_in([tmp_path / "brain.nii"])[0].load(), replace(PLAN, draws=2))
    found = {(f.part, f.case, f.measure): f.value for f in tissue.measure_real(scene, [scene.truth, scene.truth])}
    assert max(map(abs, found.values())) < 1e-9
    assert ("repeatability, brain", "brightest", "variation of mean signal (%)") in found
    half = [np.where(scene.truth > 750, scene.truth - 150, scene.truth)] * 2
    changed = {f.case: f.value for f in tissue.measure_real(scene, half) if f.measure == "shift of contrast (%)"}
    assert changed["brightest minus middle"] == pytest.approx(-50, abs=1)
    half_of_it = np.arange(32)[:, None] < 16
    moved = [np.where((scene.truth < 400) & half_of_it, scene.truth + 400, scene.truth)] * 2
    shifts = {f.case: f.value for f in tissue.measure_real(scene, moved) if f.measure == "shift of volume (%)"}
    assert list(shifts.values()) == pytest.approx([-50, 50, 0], abs=2)
