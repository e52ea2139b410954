"""The formulas of ``benchmark safety`` against values that are known beforehand, or a second source."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage, stats
from skimage.measure import label

from mri_denoise.benchmarks.baselines import BASELINES, NOISY
from mri_denoise.benchmarks.safety import clean, lesions, nothing, residual, symmetry, tissue
from mri_denoise.benchmarks.safety.findings import LIMITS, Finding, Limit, mean_of
from mri_denoise.benchmarks.safety.observer import area_under_curve, channels, detectability
from mri_denoise.benchmarks.safety.plan import PEAK, Head, Plan
from mri_denoise.benchmarks.safety.structures import find_structures, slow_power

SHAPE = (32, 34, 30)
PLAN = Plan(shape=SHAPE, draws=4, diameters=(14.0,), amplitudes=(5.0,), sites=2)


@pytest.fixture(scope="module")
def head() -> Head:
    """Nested boxes of fluid, grey and white matter, with partial volume between them."""
    boxes = {}
    for name, margin in (("fluid", 4), ("grey", 6), ("white", 10)):
        box = np.zeros(SHAPE, np.float32)
        box[margin:-margin, margin:-margin, margin:-margin] = 1
        boxes[name] = ndimage.uniform_filter(box, 2)
    tissues = {
        "fluid": boxes["fluid"] - boxes["grey"], "grey": boxes["grey"] - boxes["white"], "white": boxes["white"]
    }  # fmt: skip
    truth = 200 * tissues["fluid"] + 600 * tissues["grey"] + PEAK * tissues["white"]
    return Head(truth=truth.astype(np.float32), tissues=tissues)


def of(findings: list[Finding], measure: str, case: str | None = None) -> list[float | None]:
    return [f.value for f in findings if f.measure == measure and case in (None, f.case)]


def test_doing_nothing_changes_nothing(head: Head) -> None:
    noisy = head.fit(NOISY)
    findings = clean.measure(noisy, head, PLAN) + symmetry.measure(noisy, head, PLAN)
    alone, shown = nothing.measure(noisy, PLAN)
    findings += alone
    assert shown.shape == nothing.truth(PLAN).shape and shown.mean() == pytest.approx(20, abs=0.1)
    assert of(findings, "PSNR lost (dB)") == [0, 0, 0] == of(findings, "changed voxels")
    assert max(of(findings, "largest change (sigma)")) < 1e-5
    assert of(findings, "noise left, of the input's") == of(findings, "slow noise left, of the input's") == [1, 1, 1]
    assert of(findings, "signal left, of the input's") == pytest.approx([1], abs=0.01)
    assert of(findings, "structures", "white") == [0]
    assert np.isnan(of(alone, nothing.WHITENESS)).all()  # nothing was removed
    assert abs(nothing.alike(np.random.default_rng(0).standard_normal(SHAPE))) < 0.02


def test_what_smooths_too_much_is_found_out(head: Head) -> None:
    """A median takes a bright voxel away; one that looks to one side only is not symmetric."""
    median = head.fit(BASELINES["median"])
    findings = clean.measure(median, head, PLAN)
    assert of(findings, "changed voxels", "single voxel") == [1] and of(findings, "changed voxels", "constant") == [0]
    assert min(of(findings, "PSNR lost (dB)")) > 5

    def smear(image: np.ndarray, sigma: float | None = None) -> np.ndarray:
        return np.maximum(image, np.roll(image, 1, axis=0))

    changed = symmetry.measure(smear, head, PLAN)  # type: ignore[arg-type]
    assert of(changed, "root mean square change (sigma)", "mirrored left to right")[0] > 0.5
    assert of(changed, "root mean square change (sigma)", "slices reversed") == [0]
    assert of(changed, "root mean square change (sigma)", "times 0.001")[0] < 1e-5


def test_spheres_have_their_volume() -> None:
    for voxel, diameter in ((np.array([1.5, 1.5, 1.5]), 8.0), (np.array([2.0, 2.0, 4.0]), 9.0)):
        share = lesions.sphere(voxel, diameter)
        assert share.sum() * voxel.prod() == pytest.approx(np.pi / 6 * diameter**3, rel=0.03)
        assert share.max() == 1 and share[0].max() == 0
    assert lesions.sphere(np.ones(3), 0.5).max() < 0.2


def test_sites_are_in_their_tissue_apart_and_of_both_signs(head: Head) -> None:
    plan = Plan(shape=SHAPE, diameters=(6.0,), amplitudes=(1.0, 2.0), sites=2)
    sites = lesions.choose_sites(head, plan)
    assert {s.tissue for s in sites} == {"grey", "white"} and {s.sign for s in sites} == {-1, 1}
    assert all(head.tissues[s.tissue][s.centre] >= 0.6 for s in sites)
    places = np.array([s.centre for s in sites]) * head.voxel
    gaps = np.linalg.norm(places[:, None] - places[None], axis=2)[~np.eye(len(sites), dtype=bool)]
    assert gaps.min() >= 6 + 3 * head.voxel.max()
    assert sites == lesions.choose_sites(head, plan)
    image = lesions.insert(head, sites, 10.0)
    shape = lesions.sphere(head.voxel, 6.0)[3:6, 3:6, 3:6]
    for site in sites:
        near = tuple(slice(c - 1, c + 2) for c in site.centre)
        added = site.sign * site.amplitude * 10 * shape
        np.testing.assert_allclose((image - head.truth)[near], added, atol=1e-3)


def test_contrast_and_observer_before_and_after(head: Head) -> None:
    """Nothing lost by doing nothing; half by mixing with the truth; all, and no observer left, by giving the truth."""
    sites = lesions.choose_sites(head, PLAN)
    ill = lesions.insert(head, sites, PLAN.sigma)
    absent = [head.noisy(head.truth, PLAN, d) for d in range(4)]
    present = [head.noisy(ill, PLAN, d) for d in range(4)]
    kept = {}
    for share in (1.0, 0.5, 0.0):
        pairs = [[share * image + (1 - share) * head.truth for image in images] for images in (present, absent)]
        findings = lesions.measure(head, PLAN, sites, *pairs)
        kept[share] = (np.mean(of(findings, "contrast kept")), np.mean(of(findings, "area under the curve")))
    assert kept[1.0][0] == pytest.approx(1, abs=0.05) and kept[1.0][1] > 0.95
    assert kept[0.5][0] == pytest.approx(0.5, abs=0.03) and kept[0.5][1] > 0.95  # no information is lost
    assert kept[0.0] == (0, 0.5)


def test_the_observer_is_that_of_theory() -> None:
    """Of normal channels with a difference d in one of them: ``Phi(d / sqrt(2))``."""
    rng = np.random.default_rng(0)
    present, absent = rng.standard_normal((2, 40, 50, 4))
    present[..., 2] += 1.5
    area, error = detectability(present, absent)
    assert area == pytest.approx(stats.norm.cdf(1.5 / np.sqrt(2)), abs=0.02) and error < 0.02
    assert detectability(*rng.standard_normal((2, 40, 50, 4)))[0] == pytest.approx(0.5, abs=0.03)
    a, b = rng.standard_normal((2, 20))
    u = stats.mannwhitneyu(a, b).statistic
    assert area_under_curve(a, b) == pytest.approx(u / 400)
    views = channels(lesions.distances(np.ones(3)), 6.0)
    np.testing.assert_allclose(np.linalg.norm(views, axis=0), 1)


def test_structures_are_counted_where_they_are() -> None:
    rng = np.random.default_rng(1)
    error = rng.standard_normal((40, 40, 40))
    assert find_structures(error) == (0, 0)
    error[5:10, 5:10, 5:10] += 3
    error[30:34, 30:34, 20:24] -= 3
    assert find_structures(error)[0] == 2
    mask = np.zeros(error.shape, bool)
    mask[:20] = True
    assert find_structures(error, mask)[0] == 1
    high = np.abs(ndimage.uniform_filter(error, 3, mode="constant")) > 1
    assert find_structures(error)[1] == np.bincount(label(high, connectivity=3).ravel())[1:].max()


def test_slow_power_of_white_noise_is_its_variance() -> None:
    noise = 3 * np.random.default_rng(0).standard_normal((48, 48, 48))
    assert slow_power(noise) == pytest.approx(9, rel=0.2)
    waves = np.sin(np.arange(48) * 2 * np.pi / 48)[:, None, None] * np.ones((48, 48, 48))
    assert slow_power(noise + waves) > 100


def test_volumes_and_contrast(head: Head) -> None:
    rng = np.random.default_rng(0)
    parts = [rng.normal(mean, 40, n) for mean, n in ((200, 5000), (600, 20000), (900, 10000))]
    means, shares = tissue.mixture(np.concatenate(parts))
    np.testing.assert_allclose(means, [200, 600, 900], atol=5)
    np.testing.assert_allclose(shares, np.array([5, 20, 10]) / 35, atol=0.005)
    findings = tissue.measure(head, [head.truth, head.truth])
    assert np.abs(of(findings, "shift of volume (%)")).max() < 1e-9
    assert of(findings, "shift of contrast (%)") == of(findings, "error of edges (HFEN)") == [0]
    blurred = ndimage.gaussian_filter(head.truth, 1.5)
    assert of(tissue.measure(head, [blurred, blurred]), "shift of contrast (%)")[0] < -2
    assert of(tissue.measure(head, [head.truth, 1.1 * head.truth]), "variation of mean signal (%)")[0] == pytest.approx(
        100 * 0.1 / np.sqrt(2) / 1.05, rel=1e-4
    )
    low, high = tissue.limits_of_agreement([-1.0, 1.0])
    assert high == -low == pytest.approx(1.96 * np.sqrt(2))


def test_a_residual_of_noise_and_one_of_anatomy(head: Head) -> None:
    noisy = [head.noisy(head.truth, PLAN, d) for d in range(2)]
    perfect = residual.measure(head, PLAN, noisy, [head.truth] * 2)
    assert of(perfect, "residual / sigma") == pytest.approx([1], abs=0.05)
    assert abs(of(perfect, "correlation with neighbours")[0]) < 0.03 > abs(of(perfect, "correlation with detail")[0])
    assert of(perfect, "bias (sigma)") in ([0], [None])
    blurred = [ndimage.gaussian_filter(head.truth, 1.5)] * 2
    worse = residual.measure(head, PLAN, noisy, blurred)
    assert of(worse, "residual / sigma")[0] > 1.2 and of(worse, "correlation with detail")[0] > 0.5


def test_limits_and_means() -> None:
    finding = mean_of("a", "b", "shift of volume (%)", [1.0, 2.0, np.nan])
    assert finding.value == 1.5 and finding.error == pytest.approx(0.5)
    assert LIMITS["shift of volume (%)"].holds(finding)  # within two standard errors
    assert not LIMITS["shift of volume (%)"].holds(Finding(part="a", case="b", measure="", value=1.5))
    assert Limit(high=0).holds(mean_of("a", "b", "c", [])) and str(Limit(low=-1, high=1)) == "-1 to 1"
    assert str(Limit(low=2)) == "from 2"
