"""The chart of single images and rows of text."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from mri_denoise.report.charts import ScoredImage, score_chart
from mri_denoise.report.text import markdown_table, write_csv

BLUE, GREY = (11, 83, 148), (154, 154, 154)


def _centres(path: Path, colour: tuple[int, int, int]) -> np.ndarray:
    """Columns of the dots of a colour, row by row from the top; both panels, without the legend's own dot."""
    pixels = np.asarray(Image.open(path).convert("RGB")).astype(int)
    labels, _ = ndimage.label(np.abs(pixels - colour).sum(axis=2) < 12)
    found = [(y, x) for y, x in ndimage.find_objects(labels) if y.stop - y.start >= 3]
    return np.array([((y.start + y.stop) / 2, (x.start + x.stop) / 2) for y, x in found if y.start > 25])


def test_each_image_has_its_dots_in_the_order_of_its_scores(tmp_path: Path) -> None:
    rows = [
        ScoredImage(name="a", before=(10.0, 0.2), after=(30.0, 0.9)),
        ScoredImage(name="b", before=(12.0, 0.3), after=(20.0, 0.6)),
    ]
    path = score_chart(rows, tmp_path / "chart.png")
    after, before = _centres(path, BLUE), _centres(path, GREY)
    assert len(after) == len(before) == 4
    lines = (after[:, 0].min(), after[:, 0].max())
    first, second = (np.sort(after[np.abs(after[:, 0] - y) < 3][:, 1]) for y in lines)
    assert (first > second).all()  # a is ahead of b after denoising, by PSNR and by SSIM
    for y in lines:
        noisy, denoised = (np.sort(dots[np.abs(dots[:, 0] - y) < 3][:, 1]) for dots in (before, after))
        assert (noisy < denoised).all()


def test_no_rows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least"):
        score_chart([], tmp_path / "chart.png")


def test_rows_become_csv_and_markdown(tmp_path: Path) -> None:
    rows = [{"a": 1.5, "b": None}, {"a": 2.0, "b": "x, y"}]
    with write_csv(rows, tmp_path / "rows.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [["a", "b"], ["1.5", ""], ["2.0", "x, y"]]
    assert markdown_table(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"
