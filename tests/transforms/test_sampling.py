"""Random training slabs: shape, place, smoothing, resampling and repeatability."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from mri_denoise.transforms import MiddleSlabd, RandNoiseMapd, RandReferenceSlabd, RandRepeatedSlicesd
from mri_denoise.transforms.contrast import LENGTH
from mri_denoise.transforms.sampling import Slab
from tests.affines import affine_of


def volume(shape: tuple[int, ...] = (40, 36, 30), sizes: tuple[float, ...] = (1, 1, 1), seed: int = 0) -> MetaTensor:
    array = np.random.default_rng(seed).random((1, *shape), dtype=np.float32)
    return MetaTensor(torch.from_numpy(array), affine=torch.diag(torch.tensor([*sizes, 1.0], dtype=torch.float64)))


def ramp(shape: tuple[int, ...], axis: int, sizes: tuple[float, ...] = (1, 1, 1)) -> MetaTensor:
    """Values equal to the index along an axis."""
    index = np.arange(shape[axis], dtype=np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
    array = np.broadcast_to(index, shape)[None].copy()
    return MetaTensor(torch.from_numpy(array), affine=torch.diag(torch.tensor([*sizes, 1.0], dtype=torch.float64)))


@pytest.mark.parametrize("shape", [(40, 36, 30), (1, 36, 30), (40, 1, 30), (40, 36, 1), (5, 5, 5), (1, 1, 1)])
@pytest.mark.parametrize("num_slices", [1, 3])
def test_slabs_have_their_size_whatever_the_volume(shape: tuple[int, ...], num_slices: int) -> None:
    transform = RandReferenceSlabd("image", 16, num_slices, blur=(0.3, 1.1, 0.7), zoom=(0.5, 2.0, 0.7))
    transform.set_random_state(0)
    for sizes in ((1, 1, 1), (1, 1, 5), (4, 1, 1)):
        for _ in range(6):
            slab = transform({"image": volume(shape, sizes)})["image"]
            assert slab.shape == (num_slices, 16, 16) and slab.dtype == torch.float32 and torch.isfinite(slab).all()
            assert slab.min() >= 0 and slab.max() <= 1


def test_without_smoothing_and_resampling_a_slab_is_a_piece_of_the_volume() -> None:
    v = volume()
    transform = RandReferenceSlabd("image", 8, 3)
    for axis, centre in ((0, (20, 18, 15)), (1, (10, 20, 12)), (2, (9, 11, 20))):
        slab = transform.cut(v, Slab(axis=axis, centre=centre))
        x, y, z = centre
        half = [1 if a == axis else 4 for a in range(3)]
        far = [2 if a == axis else 4 for a in range(3)]
        wanted = v[0, x - half[0] : x + far[0], y - half[1] : y + far[1], z - half[2] : z + far[2]]
        assert torch.equal(slab, wanted.as_tensor().movedim(axis, 0))


def test_the_same_seed_gives_the_same_slabs_and_another_seed_others() -> None:
    v = volume()
    runs = []
    for seed in (1, 1, 2):
        transform = RandReferenceSlabd("image", 16, 3, blur=(0.3, 1.1, 0.5), zoom=(1.0, 2.0, 0.5))
        transform.set_random_state(seed)
        runs.append(torch.stack([transform({"image": v})["image"] for _ in range(3)]))
    assert torch.equal(runs[0], runs[1]) and not torch.equal(runs[0], runs[2])


def test_all_keys_are_cut_alike() -> None:
    v = volume()
    transform = RandReferenceSlabd(["image", "label"], 16, 3, blur=(0.3, 1.1, 0.5), zoom=(1.0, 2.0, 0.5))
    transform.set_random_state(1)
    for _ in range(4):
        item = transform({"image": v, "label": v, "note": "kept"})
        assert torch.equal(item["image"], item["label"]) and item["note"] == "kept"


@pytest.mark.parametrize("sizes", [(1.0, 1.0, 1.0), (1.0, 1.0, 4.0)])
@pytest.mark.parametrize("zoom", [1.0, 1.5, 2.0])
@pytest.mark.parametrize("blur", [0.0, 1.0])
def test_blur_and_zoom_keep_the_mean(sizes: tuple[float, ...], zoom: float, blur: float) -> None:
    transform = RandReferenceSlabd("image", 16, 3)
    constant = MetaTensor(torch.full((1, 60, 60, 60), 0.7), affine=volume(sizes=sizes).affine)
    slab = Slab(axis=2, centre=(30, 30, 30), blur=blur, zoom=zoom)
    torch.testing.assert_close(transform.cut(constant, slab), torch.full((3, 16, 16), 0.7))
    # over a ramp the mean stays at the centre of what was cut, whose width is (size and margins for smoothing) * zoom
    side = round((16 + 2 * (3 if blur else 0)) * zoom)
    start = 30 - side // 2
    mean = transform.cut(ramp((60, 60, 60), 0, sizes), slab).mean().item()
    assert mean == pytest.approx(start + (side - 1) / 2, abs=1e-3)


def test_blur_lowers_noise_and_is_equal_in_millimetres() -> None:
    rng = np.random.default_rng(0)
    noise = torch.from_numpy(rng.normal(0, 1, (1, 60, 60, 60)).astype(np.float32))
    transform = RandReferenceSlabd("image", 32, 1)
    slab = Slab(axis=2, centre=(30, 30, 30), blur=1.0)
    stds = {}
    for thick in (1.0, 8.0):
        v = MetaTensor(noise, affine=torch.diag(torch.tensor([1.0, 1.0, thick, 1.0], dtype=torch.float64)))
        stds[thick] = transform.cut(v, slab).std().item()
    # white noise falls by (2 sqrt(pi) sigma)^(1/2) for each axis that is smoothed: three, or the two in plane
    factor = (2 * np.sqrt(np.pi)) ** -0.5
    assert stds[1.0] == pytest.approx(factor**3, rel=0.1)
    assert stds[8.0] == pytest.approx(factor**2, rel=0.1)


def test_thick_slices_are_resampled_in_plane_only() -> None:
    transform = RandReferenceSlabd("image", 8, 3)
    slab = Slab(axis=2, centre=(20, 20, 20), zoom=2.0)
    thick = transform.cut(ramp((40, 40, 40), 2, (1, 1, 4)), slab)
    torch.testing.assert_close(thick.mean((1, 2)), torch.tensor([19.0, 20.0, 21.0]))
    cubic = transform.cut(ramp((40, 40, 40), 2), slab)
    torch.testing.assert_close(cubic.mean((1, 2)).diff(), torch.tensor([2.0, 2.0]))


def test_thicker_slices_average_through_plane_only_where_voxels_are_equal() -> None:
    transform = RandReferenceSlabd("image", 8, 3)
    thick = transform.cut(ramp((40, 40, 40), 2), Slab(axis=2, centre=(20, 20, 20), thickness=4.0))
    torch.testing.assert_close(thick.mean((1, 2)).diff(), torch.tensor([4.0, 4.0]))
    in_plane = transform.cut(ramp((40, 40, 40), 0), Slab(axis=2, centre=(20, 20, 20), thickness=4.0))
    torch.testing.assert_close(in_plane[1].mean(1).diff(), torch.ones(7))
    always = RandReferenceSlabd("image", 8, 3, thickness=(1.0, 5.0, 1.0)).set_random_state(0)
    assert all(1 <= always.choose(volume()).thickness <= 5 for _ in range(20))
    assert all(always.choose(volume(sizes=(1, 1, 4))).thickness == 1 for _ in range(20))


def test_new_intensities_come_before_averaging() -> None:
    transform = RandReferenceSlabd("image", 8, 1)
    v = MetaTensor(
        torch.from_numpy((np.indices((40, 40, 40)).sum(0) % 2).astype(np.float32))[None], affine=torch.eye(4)
    )
    table = np.full(LENGTH, 0.25, dtype=np.float32)
    table[LENGTH // 2 :] = 0.75
    plain = transform.cut(v, Slab(axis=2, centre=(20, 20, 20), table=table))
    assert set(plain.unique().tolist()) == {0.25, 0.75}
    averaged = transform.cut(v, Slab(axis=2, centre=(20, 20, 20), zoom=2.0, table=table))
    torch.testing.assert_close(averaged, torch.full((1, 8, 8), 0.5))


def test_smoothing_and_resampling_are_drawn_from_their_ranges_as_often_as_asked() -> None:
    transform = RandReferenceSlabd("image", 8, blur=(0.3, 1.0, 0.6), zoom=(1.5, 2.0, 0.2)).set_random_state(0)
    slabs = [transform.choose(volume()) for _ in range(300)]
    blurs, zooms = [s.blur for s in slabs if s.blur != 0], [s.zoom for s in slabs if s.zoom != 1]
    assert 0.5 < len(blurs) / 300 < 0.7 and 0.1 < len(zooms) / 300 < 0.3
    assert 0.3 <= min(blurs) < 0.35 and 0.95 < max(blurs) <= 1 and min(zooms) >= 1.5 and max(zooms) <= 2
    plain = [RandReferenceSlabd("image", 8).choose(volume()) for _ in range(20)]
    assert {(s.blur, s.zoom, s.thickness) for s in plain} == {(0, 1, 1)}


def test_contrasts_and_tissues_are_drawn_as_often_as_asked() -> None:
    transform = RandReferenceSlabd("image", 8, contrast_prob=0.3, tissue_prob=0.3).set_random_state(0)
    tables = [transform.choose(volume()).table for _ in range(300)]
    assert 0.5 < np.mean([t is not None for t in tables]) < 0.7
    assert all(RandReferenceSlabd("image", 8).choose(volume()).table is None for _ in range(5))


def test_a_zoom_below_one_interpolates() -> None:
    transform = RandReferenceSlabd("image", 16, 1)
    slab = transform.cut(ramp((40, 40, 40), 0), Slab(axis=2, centre=(20, 20, 20), zoom=0.5))
    steps = slab[0].diff(dim=0)[1:-1]
    torch.testing.assert_close(steps, torch.full_like(steps, 0.5), rtol=1e-3, atol=1e-3)


def test_axes_are_drawn_at_random_only_where_the_volume_is_isotropic() -> None:
    for sizes, wanted in (((1, 1, 1), {0, 1, 2}), ((1, 4, 1), {1})):
        transform = RandReferenceSlabd("image", 8).set_random_state(0)
        assert {transform.choose(volume(sizes=sizes)).axis for _ in range(40)} == wanted


def test_dark_centres_are_drawn_again() -> None:
    v = volume((20, 20, 20))
    v[0, :10] = 0
    transform = RandReferenceSlabd("image", 8).set_random_state(0)
    bright = np.mean([float(v[(0, *transform.choose(v).centre)]) >= 0.05 for _ in range(300)])
    assert 0.95 < bright < 1  # not half, and not always: one in thirty is taken from anywhere


def test_the_noise_map_is_the_last_channel() -> None:
    image, sigma = torch.rand(3, 5, 6), torch.rand(1, 5, 6)
    item = RandNoiseMapd("image")({"image": image, "sigma": sigma})
    assert torch.equal(item["image"], torch.cat((image, sigma)))
    item = RandNoiseMapd("image")({"image": image, "sigma": torch.full((1, 1, 1), 0.25)})
    assert torch.equal(item["image"][3], torch.full((5, 6), 0.25))


def test_the_noise_map_errs_by_one_log_normal_factor() -> None:
    transform = RandNoiseMapd("image", error=0.1).set_random_state(0)
    image, sigma = torch.rand(1, 2, 2), torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])
    factors = []
    for _ in range(500):
        ratio = transform({"image": image, "sigma": sigma})["image"][1] / sigma[0]
        torch.testing.assert_close(ratio, ratio[0, 0].expand(2, 2))
        factors.append(float(ratio[0, 0]))
    assert np.mean(np.log(factors)) == pytest.approx(0, abs=0.02)
    assert np.std(np.log(factors)) == pytest.approx(0.1, rel=0.1)


def test_slices_repeat_as_the_inferer_repeats_them() -> None:
    image = torch.arange(5.0)[:, None, None].expand(5, 3, 4)
    transform = RandRepeatedSlicesd("image", alone_prob=0.3, end_prob=0.4).set_random_state(0)
    seen = Counter(tuple(transform({"image": image})["image"][:, 0, 0].int().tolist()) for _ in range(2000))
    wanted = {
        (2, 2, 2, 2, 2): 0.3,  # alone
        (0, 1, 2, 3, 4): 0.3,  # inside
        (2, 2, 2, 3, 4): 0.1,  # the first slice of a volume, the second, the last but one, the last
        (1, 1, 2, 3, 4): 0.1,
        (0, 1, 2, 3, 3): 0.1,
        (0, 1, 2, 2, 2): 0.1,
    }
    assert {slices: n / 2000 for slices, n in seen.items()} == pytest.approx(wanted, abs=0.03)


@pytest.mark.parametrize(
    ("length", "thickness", "wanted"), [(9, 3, (3, 6)), (8, 3, (2, 5)), (2, 5, (0, 5)), (5, 5, (0, 5))]
)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_middle_slabs_are_cut_across_the_plane_of_acquisition(
    length: int, thickness: int, wanted: tuple[int, int], axis: int
) -> None:
    shape, sizes = [1, 4, 4, 4], [1.0, 1.0, 1.0]
    shape[1 + axis], sizes[axis] = length, 4.0
    image = MetaTensor(torch.rand(shape), affine=torch.from_numpy(affine_of(tuple(sizes))))
    item = MiddleSlabd("image", thickness)({"image": image})
    expected = image.as_tensor().movedim(1 + axis, 0)[slice(*wanted)].movedim(0, 1 + axis)
    assert expected.shape[1 + axis] == min(length, thickness)
    assert torch.equal(item["image"].as_tensor(), expected)
