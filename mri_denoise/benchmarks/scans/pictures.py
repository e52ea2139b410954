"""Draw scans, their results, and what was removed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mri_denoise.report.charts import save_png
from mri_denoise.report.planes import Plane

_TITLES = ("scan", "denoised", "removed", "removed from simulated noise")
_SIGMAS = 2.5  # what was removed is drawn from minus to plus so many sigma


def draw(names: Sequence[str], slices: Sequence[Sequence[Plane]], path: Path) -> None:
    """Draw one row a scan.

    Args:
        names: of the scans.
        slices: scan and result, from 0 to 1, and what was removed from the scan and from simulated noise, in sigma.
        path: of the picture, PNG.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 2.7 * len(slices)), dpi=90, layout="constrained")
    axes = figure.subplots(len(slices), len(_TITLES), squeeze=False)
    for row, name, images in zip(axes, names, slices, strict=True):
        for column, (axis, title, plane) in enumerate(zip(row, _TITLES, images, strict=True)):
            low, high = (0.0, 1.0) if column < 2 else (-_SIGMAS, _SIGMAS)
            axis.imshow(plane.pixels, cmap="gray", vmin=low, vmax=high, extent=(0, plane.size[1], plane.size[0], 0))
            axis.set_axis_off()
            axis.set_title(f"{name}: {title}" if column == 0 else title, fontsize=7)
    save_png(figure, path)
