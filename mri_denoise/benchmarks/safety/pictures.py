"""What every method makes of the objects of a scene: a row of slices, and the error of each below."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mri_denoise.report.charts import save_png

_RANGE = 3.0  # sigma of the error that is drawn
_WHITE = 99.5  # percentile
_INCHES = 2.2  # of a slice


def draw_slices(truth: np.ndarray, results: Mapping[str, np.ndarray], path: Path) -> Path:
    """Draw the truth and the results, with the error of each below; of a truth of one value the errors alone.

    Args:
        truth: a slice with the objects, in units of sigma, shape (rows, columns).
        results: the same slice of each method's result by its label.
        path: the PNG to write.

    Returns:
        the path.

    Raises:
        OutputError: if it cannot be written.
    """
    from matplotlib.figure import Figure

    white = float(np.percentile(truth, _WHITE))
    columns = {"Truth": truth, **results}
    rows = 2 if np.ptp(truth) > 0 else 1
    height = _INCHES * truth.shape[1] / truth.shape[0]  # slices are drawn with their first axis to the right
    figure = Figure(figsize=(_INCHES * len(columns), rows * height + 0.3), dpi=110, layout="constrained")
    axes = figure.subplots(rows, len(columns), squeeze=False)
    for number, (label, image) in enumerate(columns.items()):
        upper, lower = axes[0, number], axes[-1, number]
        if rows > 1:
            upper.imshow(image.T[::-1], cmap="gray", vmin=0, vmax=white)
        upper.set_title(label, fontsize=9)
        if number:
            lower.imshow((image - truth).T[::-1], cmap="gray", vmin=-_RANGE, vmax=_RANGE)
        for axis in (upper, lower):
            axis.set_axis_off()
    axes[-1, 0].text(0.5, 0.5, f"error,\n-{_RANGE:g} to {_RANGE:g} sigma", ha="center", va="center", fontsize=9)
    return save_png(figure, path)
