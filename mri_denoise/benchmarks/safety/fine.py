"""Fine structure: irregular lesions, lesions at edges, thin vessels, and the width of edges."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from mri_denoise.benchmarks.baselines import Method
from mri_denoise.benchmarks.safety.findings import Finding, mean_of
from mri_denoise.benchmarks.safety.lesions import contrast_kept
from mri_denoise.benchmarks.safety.observer import channels, detectability
from mri_denoise.benchmarks.safety.scene import Object, Scene
from mri_denoise.evaluation import metrics

LESIONS, VESSELS, EDGES = "irregular lesions", "vessels", "edges"
_NEAR = 2.0  # shortest edges of a voxel around a vessel within which its width is measured
_VIEW = 4  # voxels around an object's middle that the observer sees, to each side


def measure(method: Method, scene: Scene) -> tuple[list[Finding], np.ndarray]:
    """Denoise each draw of noise with and without the objects of a scene.

    Args:
        method: what is measured.
        scene: the true image.

    Returns:
        the findings, and a slice of the first result with the objects in units of sigma.
    """
    fitted = scene.fit(method)
    present, absent = [], []
    for draw in range(scene.plan.draws):
        absent.append(fitted(scene.noisy(scene.truth, draw), scene.sigma))
        present.append(fitted(scene.noisy(scene.image, draw), scene.sigma))
    return compare(scene, present, absent), scene.cut(present[0])


def compare(scene: Scene, present: Sequence[np.ndarray], absent: Sequence[np.ndarray]) -> list[Finding]:
    """Measure results with and without objects.

    Args:
        scene: the true image.
        present: results of each draw with the objects.
        absent: results of the same noise without.
    """
    found = []
    added = scene.image - scene.truth  # no signal is negative: dark lesions have less contrast in dark tissue
    for cell in dict.fromkeys(one.cell for one in scene.objects):
        own = [one for one in scene.objects if one.cell == cell]
        part = _part(LESIONS if own[0].distance is None else VESSELS, scene)
        signals = [added[one.patch] * (one.share > 0) for one in own]
        pairs = list(zip(own, signals, strict=True))
        kept = [
            float(np.mean([contrast_kept(a[one.patch], b[one.patch], signal) for one, signal in pairs]))
            for a, b in zip(present, absent, strict=True)
        ]
        found.append(mean_of(part, cell, "contrast kept", kept))
        if own[0].distance is None:
            area, error = _seen(scene, own, present, absent) if len(own) > 1 else (None, None)
            found.append(Finding(part=part, case=cell, measure="area under the curve", value=area, error=error))
        else:
            widths = [_width(scene, own, added != 0, a - b) for a, b in zip(present, absent, strict=True)]
            found.append(mean_of(part, cell, "width, of the true one", widths))
    slopes = [1 / slope_kept(scene.truth, image, scene.edges) for image in absent]
    found.append(mean_of(_part(EDGES, scene), "steepest 5 %", "width of edges, of the true one", slopes))
    errors = [metrics.hfen(scene.truth, image, scene.edges) for image in absent]
    found.append(mean_of(_part(EDGES, scene), "steepest 5 %", "error of edges (HFEN)", errors))
    return found


def slope_kept(truth: np.ndarray, image: np.ndarray, edges: np.ndarray) -> float:
    """The slope of edges, of the true one: of an edge that a filter made twice as wide it is a half.

    Args:
        truth: without noise, shape (X, Y, Z).
        image: the result, same shape and unit.
        edges: voxels that count.

    Returns:
        ``sum(grad image . grad truth) / sum(|grad truth|^2)`` by central differences: noise does not raise it.

    Examples:
        >>> x = np.arange(9.0).reshape(1, 1, 9) * np.ones((3, 3, 1))
        >>> slope_kept(x, x / 2, x > 0)
        0.5
    """
    true, found = (np.array(np.gradient(a.astype(np.float64)))[:, edges] for a in (truth, image))
    return float(np.sum(true * found) / np.sum(np.square(true)))


def _width(scene: Scene, own: Sequence[Object], filled: np.ndarray, change: np.ndarray) -> float:
    """Root mean square distance of vessels' signal from their lines, of the true one; the mean over vessels.

    Args:
        scene: the true image.
        own: the vessels.
        filled: voxels that some object is in.
        change: result with the objects less that without.
    """
    ratios = []
    for one in own:
        assert one.distance is not None
        others = ndimage.binary_dilation(filled[one.patch] & (one.share == 0))
        near = (one.distance <= one.width / 2 + _NEAR * float(scene.voxel.min())) & ~others
        square = np.square(one.distance[near])
        signal, true = change[one.patch][near].astype(np.float64), one.share[near]
        moments = [float(np.sum(values * square) / np.sum(values)) for values in (signal, true)]
        if moments[0] > 0:
            ratios.append(np.sqrt(moments[0] / moments[1]))
    return float(np.mean(ratios)) if ratios else float("nan")


def _seen(
    scene: Scene, own: Sequence[Object], present: Sequence[np.ndarray], absent: Sequence[np.ndarray]
) -> tuple[float, float | None]:
    """Area under the curve of the observer of round lesions, and its standard error."""
    steps = np.meshgrid(*(np.arange(-_VIEW, _VIEW + 1) * edge for edge in scene.voxel), indexing="ij")
    views = channels(np.sqrt(sum(np.square(s) for s in steps)), own[0].width + 2 * float(scene.voxel.max()))
    truth = np.pad(scene.truth, _VIEW, mode="edge")
    seen: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for pair in zip(present, absent, strict=True):
        for image, view in zip(pair, seen, strict=True):
            wide = np.pad(image, _VIEW, mode="edge") - truth  # the background is known: it is subtracted
            patches = [np.sign(one.amplitude) * wide[_around(one)] / scene.sigma for one in own]
            view.append(np.stack(patches).reshape(len(own), -1) @ views)
    return detectability(np.stack(seen[0]), np.stack(seen[1]))


def _around(one: Object) -> tuple[slice, ...]:
    """The observer's view of an object in a volume that was padded by as much."""
    middle = np.round(ndimage.center_of_mass(one.share)).astype(int) + one.corner
    return tuple(slice(int(c), int(c) + 2 * _VIEW + 1) for c in middle)


def _part(name: str, scene: Scene) -> str:
    return f"{name}, {scene.label}" if scene.label else name
