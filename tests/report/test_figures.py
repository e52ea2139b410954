"""Figures, measured in the pixels of the files they make."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from mri_denoise.report.figures import LabelledPair, comparison, comparison_rows, middle_planes

TITLES = 30  # pixels


def _boxes(path: Path) -> list[tuple[int, int, int, int]]:
    """Left, top, width and height of every dark area below the titles, from top to bottom and left to right."""
    dark = np.asarray(Image.open(path).convert("L"))[TITLES:] < 128
    labels, _ = ndimage.label(dark)
    found = ndimage.find_objects(labels)
    boxes = [(x.start, y.start, x.stop - x.start, y.stop - y.start) for y, x in found]
    assert sum(w * h for _, _, w, h in boxes) == dark.sum()  # filled rectangles and nothing else: no axes, no ticks
    return sorted(boxes, key=lambda box: (box[1], box[0]))


@pytest.mark.parametrize("codes", ["RAS", "LPS", "PSR"])
def test_volume_is_drawn_in_anatomical_proportions(tmp_path: Path, codes: str) -> None:
    """A black volume of 60 x 100 x 140 mm, right, forward and up, stored with different axes and 5 mm slices."""
    spacing = (0.5, 1.0, 5.0)
    world = {code: (row, sign) for sign, letters in ((1, "RAS"), (-1, "LPI")) for row, code in enumerate(letters)}
    affine, shape = np.diag([0.0, 0, 0, 1]), [0, 0, 0]
    for axis, code in enumerate(codes):
        row, sign = world[code]
        affine[row, axis] = sign * spacing[axis]
        shape[axis] = int((60, 100, 140)[row] / spacing[axis])
    black = np.zeros(shape, dtype=np.float32)
    boxes = _boxes(comparison(black, black, tmp_path / "figure.png", affine=affine))
    assert len(boxes) == 9
    scale = boxes[-1][3] / 140
    for row, (width, height) in enumerate([(60, 100), (60, 140), (100, 140)]):
        for _, _, drawn_width, drawn_height in boxes[3 * row : 3 * row + 3]:
            assert drawn_width == pytest.approx(width * scale, abs=1)
            assert drawn_height == pytest.approx(height * scale, abs=1)
    lefts = [box[0] + box[2] / 2 for box in boxes]
    assert lefts[0] == pytest.approx(lefts[3], abs=1) == pytest.approx(lefts[6], abs=1)


def test_spacing_alone_gives_the_proportions(tmp_path: Path) -> None:
    black = np.zeros((40, 40, 10))
    boxes = _boxes(comparison(black, black, tmp_path / "f.png", (1.0, 2.0, 4.0)))
    assert [box[2] / box[3] for box in boxes[::3]] == pytest.approx([0.5, 1.0, 2.0], rel=0.01)


def test_the_view_is_radiological() -> None:
    """Right on the left, front on top or on the left, head up."""
    head = np.zeros((11, 13, 15))
    head[9, 6, 7], head[5, 11, 7], head[5, 6, 13] = 1, 2, 3  # right, front, top
    axial, coronal, sagittal = middle_planes(head)
    assert [plane.name for plane in (axial, coronal, sagittal)] == ["axial", "coronal", "sagittal"]
    assert axial.pixels.shape == (13, 11)
    assert axial.pixels[6, 1] == 1 and axial.pixels[1, 5] == 2
    assert coronal.pixels[7, 1] == 1 and coronal.pixels[1, 5] == 3
    assert sagittal.pixels[7, 1] == 2 and sagittal.pixels[1, 6] == 3


@pytest.mark.parametrize("codes", ["LPS", "PSR", "ASL", "IRP"])
def test_the_view_does_not_depend_on_how_the_file_is_stored(codes: str) -> None:
    random = np.random.default_rng(0)
    image = nib.Nifti1Image(random.random((11, 13, 15)), np.diag([1.0, 2, 3, 1]))
    turned = nib.orientations.ornt_transform(
        nib.orientations.io_orientation(image.affine), nib.orientations.axcodes2ornt(codes)
    )
    other = image.as_reoriented(turned)
    expected = middle_planes(image.get_fdata(), affine=image.affine)
    for a, b in zip(expected, middle_planes(other.get_fdata(), affine=other.affine), strict=True):
        assert a.size == pytest.approx(b.size)
        np.testing.assert_array_equal(a.pixels, b.pixels)


def test_a_picture_is_one_row_as_it_is(tmp_path: Path) -> None:
    picture = np.zeros((50, 100), dtype=np.uint8)
    boxes = _boxes(comparison(picture, picture, tmp_path / "f.png"))
    assert len(boxes) == 3
    assert {(box[2], box[3]) for box in boxes} == {(380, 190)}


def test_one_slice_gives_one_plane_and_the_first_of_several_volumes_is_shown() -> None:
    assert [plane.name for plane in middle_planes(np.zeros((20, 30, 1)))] == ["axial"]
    assert [plane.name for plane in middle_planes(np.zeros((1, 20, 30)))] == ["sagittal"]
    several = np.stack([np.full((4, 5, 6), n) for n in (7, 8)])
    assert np.unique(middle_planes(several)[0].pixels).tolist() == [7]
    with pytest.raises(ValueError, match="shape"):
        middle_planes(np.zeros(5))


def test_the_columns_are_input_output_and_residual_in_hot_colours(tmp_path: Path) -> None:
    """Left half equal, right half changed: the residual is black there and hot (red above blue, or white) here."""
    random = np.random.default_rng(0)
    noisy = random.uniform(50, 200, (64, 64))
    denoised = noisy.copy()
    denoised[:, 32:] -= 10
    drawn = np.asarray(Image.open(comparison(noisy, denoised, tmp_path / "f.png")).convert("RGB")).astype(int)
    first, second, third = (drawn[TITLES:, left : left + 380] for left in (0, 386, 772))
    for grey in (first, second):
        assert np.ptp(grey, axis=2).max() == 0
    np.testing.assert_array_equal(first[:, :150], second[:, :150])
    assert first[:, 230:].mean() > second[:, 230:].mean() + 5
    assert third[:, :150].max() < 20
    assert third[:, 230:].min() > 200


def test_nan_and_constant_images_are_drawn(tmp_path: Path) -> None:
    array = np.full((8, 8, 8), np.nan)
    array[2] = np.inf
    assert comparison(array, array, tmp_path / "folder" / "f.png").is_file()
    assert [p.name for p in (tmp_path / "folder").iterdir()] == ["f.png"]


def test_unlike_shapes_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="shapes differ"):
        comparison(np.zeros((4, 4)), np.zeros((4, 5)), tmp_path / "f.png")
    assert not list(tmp_path.iterdir())


def test_rows_of_pictures_each_fill_their_cell_in_true_proportions(tmp_path: Path) -> None:
    tall, wide = np.zeros((20, 10)), np.zeros((10, 10))
    rows = [
        LabelledPair(label="", noisy=tall, denoised=tall),
        LabelledPair(label="", noisy=wide, denoised=wide, spacing=(1.0, 2.0)),
    ]
    path = comparison_rows(rows, tmp_path / "rows.png")
    boxes = _boxes(path)
    assert len(boxes) == 6
    assert [box[3] / box[2] for box in boxes] == pytest.approx([2.0] * 3 + [0.5] * 3, rel=0.01)
    assert {max(box[2:]) for box in boxes} == {380}


def test_a_line_stands_above_each_row(tmp_path: Path) -> None:
    picture = np.ones((10, 10))
    image = LabelledPair(label="head, 20 %", noisy=picture, denoised=picture)
    plain = Image.open(comparison_rows([replace(image, label="")], tmp_path / "plain.png"))
    named = Image.open(comparison_rows([image], tmp_path / "named.png"))
    assert named.height == plain.height + 20
    assert (np.asarray(named.convert("L"))[TITLES : TITLES + 20] < 128).any()


def test_rows_need_pictures_of_one_shape(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least"):
        comparison_rows([], tmp_path / "f.png")
    with pytest.raises(ValueError, match="shapes differ"):
        unlike = LabelledPair(label="", noisy=np.ones((4, 4)), denoised=np.ones((4, 5)))
        comparison_rows([unlike], tmp_path / "f.png")
