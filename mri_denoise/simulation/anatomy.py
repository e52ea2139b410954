"""Paint the anatomy of the head phantom, tissue by tissue, with partial volume at every border.

Positions are millimetres as in MNI space (x to the right, y forward, z up, the anterior commissure near 0), rounded
from atlases.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from mri_denoise.simulation.shapes import Coordinates, Point, ellipsoid, join, tube, waves


class Painter:
    """Paint one tissue over another, from the outside in; each covers a fraction of a voxel.

    Args:
        shape: voxels along x, y and z.
        affine: voxel index to mm, without rotation.
        signals: of each image, the signal of each tissue by name; air is 0.
        seed: of the bending, folds, lesions, vessels and texture.
    """

    def __init__(
        self, shape: tuple[int, int, int], affine: np.ndarray, signals: Sequence[Mapping[str, float]], seed: int
    ) -> None:
        voxel = affine.diagonal()[:3]
        self.edge = np.float32(1 / voxel.mean())
        x, y, z = (
            np.arange(n, dtype=np.float32) * np.float32(step) + np.float32(start)
            for n, step, start in zip(shape, voxel, affine[:3, 3], strict=True)
        )
        self.axes: Coordinates = (x[:, None, None], y[None, :, None], z[None, None, :])
        self.signals = signals
        # separate streams, so that a change of one part does not change the others
        self.streams = [np.random.default_rng([seed, part]) for part in range(5)]
        self.bent = self._bend(1.8)
        self.images = [np.zeros(shape, dtype=np.float32) for _ in signals]

    def _bend(self, amount: float) -> Coordinates:
        """Coordinates shifted by a smooth random field, so that nothing is a perfect ellipsoid."""
        x, y, z = (axis + amount * waves(self.axes, self.streams[0], (80, 180), 8) for axis in self.axes)
        return x, y, z

    def paint(self, texture: bool) -> list[np.ndarray]:
        """Paint the head.

        Args:
            texture: whether the signal varies within tissues; see :func:`~mri_denoise.simulation.head_phantom`.

        Returns:
            for each set of signals, float32, shape (X, Y, Z), in their units.
        """
        self._paint_head()
        self._paint_face()
        self._paint_brain()
        self._paint_inside()
        self._paint_vessels()
        if texture:
            fine = waves(self.axes, self.streams[3], (5, 30), 48)
            shading = waves(self.axes, self.streams[4], (200, 400), 6)
            factor = 1 + np.float32(0.03) * np.clip(fine, -3, 3) + np.float32(0.07) * np.clip(shading, -2, 2)
            for image in self.images:
                image *= factor
        return self.images

    def _cover(self, distance: np.ndarray) -> np.ndarray:
        """The fraction of each voxel that a shape covers, by its distance in mm."""
        return np.clip(np.float32(0.5) - distance * self.edge, 0, 1)

    def _fill(self, tissue: str | None, distance: np.ndarray, region: tuple[slice, ...] = ()) -> None:
        """Paint a tissue (None for air) over a region where the distance is negative."""
        cover = self._cover(distance)
        for whole, signals in zip(self.images, self.signals, strict=True):
            image = whole[region]
            image += cover * (np.float32(0.0 if tissue is None else signals[tissue]) - image)

    def _stroke(
        self,
        tissue: str | None,
        shape: Callable[[Coordinates], np.ndarray],
        low: Point,
        high: Point,
        pair: bool = False,
    ) -> None:
        """Paint a small shape inside the box from ``low`` to ``high`` (mm); a pair is mirrored in x."""
        low = (-high[0], *low[1:]) if pair else low
        region = tuple(
            slice(*np.searchsorted(axis.ravel(), (a - 8, b + 8)).tolist())
            for axis, a, b in zip(self.axes, low, high, strict=True)
        )
        x, y, z = (c[region] for c in self.bent)
        self._fill(tissue, shape((np.abs(x) if pair else x, y, z)), region)

    def _tube(self, tissue: str | None, points: list[Point], radii: list[float], pair: bool = False) -> None:
        """Paint a tube; see :func:`~mri_denoise.simulation.shapes.tube`."""
        low = tuple(min(p[i] for p in points) - max(radii) for i in range(3))
        high = tuple(max(p[i] for p in points) + max(radii) for i in range(3))
        self._stroke(tissue, lambda at: tube(at, points, radii), low, high, pair)  # type: ignore[arg-type]

    def _blob(self, tissue: str | None, centre: Point, radii: Point, pair: bool = False) -> None:
        """Paint an ellipsoid."""
        low = tuple(c - r for c, r in zip(centre, radii, strict=True))
        high = tuple(c + r for c, r in zip(centre, radii, strict=True))
        self._stroke(tissue, lambda at: ellipsoid(at, centre, radii), low, high, pair)  # type: ignore[arg-type]

    def _paint_head(self) -> None:
        """Paint skin, fat, muscle, and the skull as shells around the cranial cavity."""
        x, y, z = self.bent
        self.mirrored: Coordinates = (np.abs(x), y, z)
        upper = ellipsoid(self.bent, (0, -18, 16), (69, 87, 60))
        base = np.float32(-18) - z + np.float32(0.06) * y
        upper = np.maximum(upper, base)
        temporal = ellipsoid(self.mirrored, (44, -12, -20), (24, 42, 24))
        self.cerebellum = ellipsoid(self.bent, (0, -64, -34), (52, 34, 25))
        self.stem = tube(self.bent, [(0, -22, -4), (0, -27, -32), (0, -40, -62), (0, -50, -110)], [13, 14, 9, 6])
        # the tentorium: fluid between the occipital lobes and the cerebellum
        self.cerebrum = np.maximum(np.minimum(upper, temporal), 2.5 - self.cerebellum)
        cavity = join(self.cerebrum, np.minimum(self.cerebellum, self.stem), 14) - 4
        vault = join(cavity, ellipsoid(self.bent, (0, 36, -46), (56, 50, 52)), 20)
        neck = tube(self.bent, [(0, -38, -40), (0, -48, -140)], [58, 56])
        outer = join(vault - 13, neck, 24)
        self._fill("skin", outer)
        self._fill("fat", outer + 2.2)
        # below the skull base there is muscle under the fat; over the vault there is hardly any
        muscle = np.maximum(outer + 7, z - np.float32(6) + np.float32(0.25) * np.abs(y - 10))
        self._fill("muscle", muscle)
        self._fill("bone", cavity - 7.5)
        self._fill("marrow", np.abs(cavity - 4) - 1.4)
        self._fill("csf", cavity)

    def _paint_face(self) -> None:
        """Paint eyes in orbital fat, nose, sinuses and throat."""
        self._blob("fat", (31, 50, -34), (20, 26, 18), pair=True)
        self._tube("muscle", [(20, 26, -30), (30, 50, -35)], [4, 9], pair=True)
        self._blob("skin", (32, 58, -35), (13.5, 13.5, 13.5), pair=True)
        self._blob("csf", (32, 58, -35), (12, 12, 12), pair=True)
        self._blob("grey", (32, 67, -35), (5, 2.5, 5), pair=True)
        self._blob("skin", (0, 84, -58), (14, 16, 18))
        self._blob(None, (7, 60, -58), (5, 26, 20), pair=True)
        self._blob(None, (32, 52, -66), (13, 16, 13), pair=True)
        self._blob(None, (0, 66, -12), (14, 3, 7))
        self._tube("muscle", [(9, 40, -64), (9, 76, -64)], [3, 3], pair=True)
        throat: list[Point] = [(0, 20, -60), (0, 6, -90), (0, 4, -120)]
        self._tube(None, throat, [9, 8, 8])

    def _paint_brain(self) -> None:
        """Paint the folded cortex: grey matter within 3 mm of the fluid in fissures and sulci."""
        x, y, z = self.mirrored
        # the fissure between the hemispheres ends at the corpus callosum
        roof = ellipsoid(self.bent, (0, -6, 0), (60, 46, 30))
        fissure = np.maximum(x - np.float32(0.9), -roof)
        sylvian = np.maximum(np.maximum(np.abs(z + np.float32(0.4) * y) - 1, 36 - x), np.abs(y + 5) - 30)
        depth = np.minimum(np.minimum(-self.cerebrum, fissure), sylvian)
        self._fold(depth)
        self._fill("grey", -depth)
        self._fill("white", 3 - depth)
        self._fill("grey", self.cerebellum)
        arcs = np.hypot(y + 50, z + 30)
        inside = self.cerebellum
        self._fill("white", np.maximum(np.abs(np.mod(arcs, 10) - 5) - 0.9, inside + 3.5))
        self._fill("csf", np.maximum(np.maximum(np.abs(np.mod(arcs, 5) - 2.5) - 0.4, inside), -7 - inside))
        self._fill("white", ellipsoid(self.mirrored, (18, -58, -36), (22, 16, 10)))
        self._fill("white", self.stem)

    def _fold(self, depth: np.ndarray) -> None:
        """Cut sulci into ``depth`` (mm from fluid, changed in place), about 12 mm apart and 9 to 17 mm deep.

        A sulcus is a sheet on which a band-limited random field f is 0; the distance to it is |f| / |grad f|. The field
        changes slowly along rays from the middle of the brain, so that the sheets are roughly normal to the surface.
        """
        shell = np.flatnonzero((depth > -2) & (depth < 24))
        x, y, z = (c.ravel()[shell] - np.float32(o) for c, o in zip(self.bent, (0, -18, 16), strict=True))
        ray = np.sqrt((x / 69) ** 2 + (y / 87) ** 2 + (z / 60) ** 2) ** np.float32(-0.6)
        places = np.stack([x * ray, y * ray, z * ray], axis=1)
        random, count = self.streams[1], 20
        directions = random.standard_normal((3, count))
        k = directions / np.linalg.norm(directions, axis=0) * 2 * np.pi / random.uniform(20, 30, count)
        k = k.astype(np.float32)
        angles = places @ k + random.uniform(0, 2 * np.pi, count).astype(np.float32)
        field = np.cos(angles).sum(axis=1)
        slope = np.linalg.norm(np.sin(angles) @ k.T, axis=1) * ray
        sheet = np.abs(field) / np.maximum(slope, np.float32(0.15))
        below = depth.ravel()[shell]
        deepest = 13 + 4 * np.sin(places[:, 0] / 17 + places[:, 1] / 23) * np.cos(places[:, 2] / 19)
        width = 0.4 + 0.7 * np.clip(1 - below / deepest, 0, 1)
        depth.ravel()[shell] = np.minimum(below, np.maximum(sheet - width, below - deepest))

    def _paint_inside(self) -> None:
        """Paint corpus callosum, deep nuclei, hippocampus, ventricles, and a few white matter lesions."""
        arch: list[Point] = [(0, 28, 1), (0, 27, 13), (0, 10, 24), (0, -18, 25), (0, -38, 16), (0, -39, 9)]

        def callosum(at: Coordinates) -> np.ndarray:
            return tube((at[0] * np.float32(0.25), at[1], at[2]), arch, [4] * 6)

        self._stroke("white", callosum, (-18, -44, 0), (18, 34, 30))
        self._tube("deep grey", [(11, 18, 3), (13, 11, 12), (16, -8, 20), (20, -24, 18)], [6, 5, 3.5, 2], pair=True)
        self._blob("deep grey", (26, 3, 1), (6, 16, 10), pair=True)
        self._blob("pallidum", (19, -3, 0), (4.5, 9, 6), pair=True)
        self._blob("deep grey", (10, -18, 7), (8, 14, 8), pair=True)
        self._tube("grey", [(24, -10, -22), (28, -24, -14), (24, -36, -4)], [5, 4, 3], pair=True)
        horn: list[Point] = [(8, 30, 3), (9, 16, 15), (9, -8, 22), (17, -34, 17), (25, -44, 8), (26, -66, 6)]
        self._tube("csf", horn, [3, 5.5, 5.5, 6.5, 7, 3], pair=True)
        self._tube("csf", [(25, -44, 8), (34, -30, -12), (32, -10, -20)], [5, 2.5, 1.5], pair=True)
        self._blob("grey", (23, -42, 11), (2, 5, 3), pair=True)
        self._blob("csf", (0, -14, 0), (2, 13, 10))
        self._tube("csf", [(0, -28, -6), (0, -36, -22)], [1, 1])
        self._blob("csf", (0, -43, -34), (7, 5, 11))
        random = self.streams[2]
        for side in (-1, 1) * 4:
            centre = (side * random.uniform(19, 30), random.uniform(-45, 28), random.uniform(20, 32))
            size = random.uniform(1.5, 4.5)
            self._blob("lesion", centre, (size, size * random.uniform(1, 1.8), size))

    def _paint_vessels(self) -> None:
        """Paint venous sinuses, the larger arteries, and thin vessels through white matter."""
        angles = np.deg2rad([35, 60, 90, 120, 150, 175])
        sagittal: list[Point] = [(0, -18 + 90 * float(np.cos(a)), 16 + 63 * float(np.sin(a))) for a in angles]
        self._tube("vessel", sagittal, [1, 1.5, 2, 2.2, 2.5, 3])
        self._tube("vessel", [(3, -106, -6), (40, -84, -16), (60, -45, -22)], [3, 3, 2.5], pair=True)
        self._tube("vessel", [(24, -20, -90), (24, -8, -50), (12, 4, -24), (10, 4, -15)], [2.5, 2.5, 2.3, 2], pair=True)
        self._tube("vessel", [(9, 4, -15), (24, 4, -13), (40, 2, -4), (46, -12, 4)], [1.6, 1.5, 1.3, 1.1], pair=True)
        self._tube("vessel", [(2.5, 6, -14), (2, 36, -2), (2, 37, 16), (2, 12, 33), (2, -20, 35)], [1.3] * 5, pair=True)
        self._tube("vessel", [(0, -40, -62), (0, -12, -36), (0, -9, -16)], [1.6, 1.8, 1.6])
        random = self.streams[2]
        for _ in range(16):
            side = random.choice([-1.0, 1.0])
            start = (side * random.uniform(14, 26), random.uniform(-50, 30), random.uniform(24, 34))
            stop = (start[0] + side * random.uniform(4, 18), start[1] + random.uniform(-12, 12), start[2] + 18)
            self._tube("vessel", [start, stop], [0.7, 0.5])
