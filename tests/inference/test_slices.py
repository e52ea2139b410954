"""Inferers: which channels a network is given for each slice, whatever the batches, axes and precision."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from torch import nn

from mri_denoise.inference.collaborative_filter import filter_blocks
from mri_denoise.inference.mixed_precision import MixedPrecisionInferer, piece_size
from mri_denoise.inference.slices import SliceDenoiseInferer
from mri_denoise.networks import HMADNet, integers
from mri_denoise.runtime import choose_precision
from tests.threads import pytorch_threads

SHAPE = (5, 6, 7)


class Spy(nn.Module):
    """Keeps what it is given; its answer is a known function of the channels."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[torch.Tensor] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.append(x.clone())
        weights = torch.arange(1, x.shape[1] + 1, dtype=x.dtype)
        return (x * weights[:, None, None]).sum(1, keepdim=True)


def volumes(count: int = 2) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).random((1, count, *SHAPE), dtype=np.float32))


def expected(volume: np.ndarray, axis: int, num_slices: int, level: np.ndarray | None, contiguous: bool) -> np.ndarray:
    """What ``Spy`` answers, slice by slice in plain numpy."""
    n = volume.shape[axis]
    out = np.zeros_like(volume)
    for i in range(n):
        channels = []
        for offset in range(-(num_slices // 2), num_slices // 2 + 1):
            j = min(max(i + offset, 0), n - 1) if contiguous else i
            channels.append(volume.take(j, axis))
        if level is not None:
            channels.append(np.broadcast_to(level, volume.shape).take(i, axis))
        place = tuple(i if a == axis else slice(None) for a in range(3))
        out[place] = sum((c + 1) * image for c, image in enumerate(channels))
    return out


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("batch_size", [1, 2, 3, 100])
@pytest.mark.parametrize("num_slices", [1, 3, 5])
@pytest.mark.parametrize("contiguous", [True, False])
def test_each_slice_gets_its_neighbours_and_noise(
    axis: int, batch_size: int, num_slices: int, contiguous: bool
) -> None:
    x = volumes()
    sigma = torch.tensor([[0.25, 0.5]])
    inferer = SliceDenoiseInferer(num_slices, noise_map=True, batch_size=batch_size, precision="float32")
    y = inferer(x, Spy(), sigma=sigma, slice_axis=axis, contiguous=contiguous)
    assert y.shape == x.shape and y.dtype == torch.float32
    for t in range(2):
        wanted = expected(x[0, t].numpy(), axis, num_slices, sigma[0, t].numpy(), contiguous)
        np.testing.assert_allclose(y[0, t].numpy(), wanted, rtol=1e-5)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_noise_map_follows_its_slices(axis: int) -> None:
    x, sigma = volumes(), torch.rand(1, 2, *SHAPE)
    inferer = SliceDenoiseInferer(3, noise_map=True, batch_size=2, precision="float32")
    y = inferer(x, Spy(), sigma=sigma, slice_axis=torch.tensor([axis]), contiguous=torch.tensor([True]))
    for t in range(2):
        wanted = expected(x[0, t].numpy(), axis, 3, sigma[0, t].numpy(), True)
        np.testing.assert_allclose(y[0, t].numpy(), wanted, rtol=1e-5)


def test_without_a_noise_map_no_channel_is_added() -> None:
    spy = Spy()
    SliceDenoiseInferer(3, batch_size=4)(volumes(1), spy, sigma=torch.tensor([[0.1]]), slice_axis=2)
    assert [x.shape[:2] for x in spy.seen] == [(7, 3)]


def test_volumes_are_never_mixed() -> None:
    x = volumes(3)
    changed = x.clone()
    changed[0, 1] = 9
    inferer = SliceDenoiseInferer(3, batch_size=2, precision="float32")
    first, second = (inferer(v, Spy(), slice_axis=2) for v in (x, changed))
    torch.testing.assert_close(first[0, [0, 2]], second[0, [0, 2]], rtol=0, atol=0)
    assert not torch.equal(first[0, 1], second[0, 1])


def test_the_axis_comes_from_the_affine_and_the_metadata_stays() -> None:
    x = MetaTensor(volumes(1)[0], affine=torch.diag(torch.tensor([4.0, 1, 1, 1])), meta={"note": "kept"})
    spy = Spy()
    y = SliceDenoiseInferer(1, batch_size=99)(x[None], spy)
    assert spy.seen[0].shape[:2] == (5, 1) and not spy.seen[0][..., 6:, :].any() and not spy.seen[0][..., 7:].any()
    assert isinstance(y, MetaTensor) and y.meta["note"] == "kept"


def test_bfloat16_is_close_to_float32() -> None:
    torch.manual_seed(0)
    network = nn.Conv2d(3, 1, 3, padding=1)
    x = volumes(1)
    with torch.no_grad():
        exact, rounded = (
            SliceDenoiseInferer(3, precision=p)(x, network, slice_axis=2) for p in ("float32", "bfloat16")
        )
    assert exact.dtype == rounded.dtype == torch.float32
    difference = (exact - rounded).abs().max().item()
    assert 0 < difference < 2**-6  # bfloat16 has 8 significant bits


@pytest.mark.parametrize(
    ("capabilities", "precision", "with_integers"),
    [
        ({"cpu_name": "AMD EPYC 9755", "avx512_bf16": True}, "bfloat16", "int8"),
        ({"cpu_name": "Intel Xeon", "avx512_bf16": True, "amx_bf16": True}, "bfloat16", "bfloat16"),
        ({"cpu_name": "Intel Xeon", "avx512_bf16": True, "amx_bf16": False}, "float32", "int8"),
        ({"cpu_name": "AMD Ryzen 7 5800X", "avx512_bf16": False}, "float32", "int8"),
        ({}, "float32", "int8"),
    ],
)
def test_the_fast_precision_is_chosen(monkeypatch, capabilities: dict, precision: str, with_integers: str) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert choose_precision("cpu") == precision
    for supported, expected in ((True, with_integers), (False, precision)):
        monkeypatch.setattr(integers, "supported", lambda answer=supported: answer)
        assert choose_precision("cpu", integers=True) == expected


def test_mixed_precision_runs_the_network_in_that_precision() -> None:
    kinds = []
    conv = nn.Conv2d(1, 1, 1)
    conv.register_forward_hook(lambda module, inputs, output: kinds.append(output.dtype))
    for precision in ("float32", "bfloat16"):
        assert MixedPrecisionInferer(precision)(torch.rand(1, 1, 4, 4), conv).dtype == torch.float32
    assert kinds == [torch.float32, torch.bfloat16]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_in_inference_on_a_cpu_images_go_through_the_network_in_pieces_of_a_fixed_size(precision: str) -> None:
    spy, x = Spy(), torch.rand(5, 2, 256, 200)
    with torch.inference_mode():
        y = MixedPrecisionInferer(precision)(x, spy)
    assert [len(piece) for piece in spy.seen] == [1] * 5 and piece_size(torch.empty(64, 64)) == 16
    torch.testing.assert_close(y, x[:, :1] + 2 * x[:, 1:])
    MixedPrecisionInferer(precision)(x, spy)  # with gradients: normalisation over a batch needs it whole
    assert len(spy.seen[-1]) == 5


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_the_bits_do_not_depend_on_threads_and_batches(precision: str) -> None:
    if precision == "int8" and not integers.supported():
        pytest.skip("this processor does not convolve in integers")
    torch.manual_seed(0)
    network = HMADNet(channels=(8, 16), num_slices=3, noise_map=True).eval().to(memory_format=torch.channels_last)
    x = MetaTensor(torch.rand(1, 1, 33, 37, 9), affine=torch.eye(4))
    results = []
    for threads, batch_size in ((1, 8), (2, 8), (3, 1), (4, 3)):
        with pytorch_threads(threads), torch.no_grad():
            inferer = SliceDenoiseInferer(3, True, batch_size, precision, filter_passes=2)
            results.append(inferer(x, network, sigma=torch.tensor([[0.1]]), slice_axis=2))
            assert torch.get_num_threads() == threads
    assert all(torch.equal(results[0], other) for other in results[1:])


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="'int4'"):
        MixedPrecisionInferer("int4")
    with pytest.raises(ValueError, match="one item"):
        SliceDenoiseInferer()(torch.rand(2, 1, 3, 3, 3), Spy())


def test_three_planes_are_averaged() -> None:
    x, sigma = volumes(), torch.tensor([[0.25, 0.5]])
    out = SliceDenoiseInferer(3, True, batch_size=2, precision="float32", planes=3)(x, Spy(), sigma=sigma)
    for t in range(2):
        level = np.float32(sigma[0, t])
        each = [expected(x[0, t].numpy(), axis, 3, level, True) for axis in range(3)]
        np.testing.assert_allclose(out[0, t], np.mean(each, axis=0), rtol=1e-5)


@pytest.mark.parametrize(
    ("shape", "voxel", "contiguous", "axes"),
    [
        ((33, 34, 35), (1.0, 1.0, 1.4), True, 3),
        ((33, 34, 35), (1.0, 1.0, 1.6), True, 1),
        ((33, 34, 35), (1.0, 1.0, 1.0), False, 1),
        ((33, 34, 9), (1.0, 1.0, 1.0), True, 1),
        ((33, 34, 1), (1.0, 1.0, 1.0), True, 1),
    ],
)
def test_planes_are_chosen_by_the_voxels(shape: tuple, voxel: tuple, contiguous: bool, axes: int) -> None:
    x = MetaTensor(torch.rand(1, 1, *shape), affine=torch.diag(torch.tensor([*voxel, 1.0])))
    spy = Spy()
    SliceDenoiseInferer(batch_size=1000, precision="float32", planes="auto")(x, spy, contiguous=contiguous)
    assert len(spy.seen) == axes


def test_unknown_planes_are_refused() -> None:
    with pytest.raises(ValueError, match="planes"):
        SliceDenoiseInferer(planes=2)


@pytest.mark.parametrize(
    ("voxel", "contiguous", "slices"),
    [
        ((1.0, 1.0, 1.2), True, (2, "cubes")),
        ((1.0, 1.0, 4.0), True, (2, "plates")),
        ((4.0, 1.0, 1.0), True, (0, "plates")),
        ((1.0, 1.0, 1.0), False, (2, "squares")),
    ],
)
def test_filter_takes_the_average_of_the_planes_further(
    voxel: tuple, contiguous: bool, slices: tuple, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mri_denoise.inference.limits._FARTHEST", 100.0)  # this network's results are far away
    affine = torch.diag(torch.tensor([*voxel, 1.0]))
    x, sigma = MetaTensor(torch.rand(1, 2, 14, 15, 16), affine=affine), torch.tensor([[0.25, 0.5]])
    kwargs = {"sigma": sigma, "contiguous": contiguous}
    plain = SliceDenoiseInferer(3, True, precision="float32", planes=3)(x, Spy(), **kwargs)
    out = SliceDenoiseInferer(3, True, precision="float32", planes=3, filter_passes=1)(x, Spy(), **kwargs)
    for t in range(2):
        wanted = filter_blocks(x.as_tensor()[0, t], plain.as_tensor()[0, t].clone(), sigma[0, t], *slices)
        torch.testing.assert_close(out.as_tensor()[0, t], wanted)
    assert not torch.equal(out, plain)


def test_the_filter_does_not_take_what_lies_far_beyond_the_image_for_signal() -> None:
    """At a level far above the image a network gives anything; a voxel that is not a number does not spread."""

    def wild(slabs: torch.Tensor) -> torch.Tensor:
        return 1e6 * torch.randn(len(slabs), 1, *slabs.shape[2:], generator=torch.manual_seed(0))

    x = torch.rand(1, 1, 24, 24, 24)
    sigma = torch.tensor([[1e4]])
    out = SliceDenoiseInferer(3, True, precision="float32", planes=1, filter_passes=1)(x, wild, sigma=sigma)
    assert float(out.abs().max()) <= 5 * float(x.max())
    x[0, 0, 3, 4, 5] = torch.nan
    sane = SliceDenoiseInferer(3, True, precision="float32", planes=1, filter_passes=1)(
        x, lambda slabs: torch.nan_to_num(slabs[:, 1:2]), sigma=torch.tensor([[0.1]])
    )
    assert float(sane.isfinite().float().mean()) > 0.5


def test_filter_needs_the_noise_level() -> None:
    with pytest.raises(ValueError, match="noise_map"):
        SliceDenoiseInferer(filter_passes=1)


@pytest.mark.parametrize("value", [0.0, 0.5, -7.0])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_blank_slices_stay_and_are_no_context_for_others(axis: int, value: float) -> None:
    x = torch.rand(1, 2, 12, 13, 14)
    x[0, 0].movedim(axis, 0)[[0, 5, 6, -1]] = value
    spy, runs = Spy(), ((1, 5), (7, x.shape[2 + axis] - 1))
    y = SliceDenoiseInferer(3, noise_map=True, precision="float32")(
        x, spy, sigma=torch.full((1, 2), 0.25), slice_axis=2
    )
    kept = [n for run in runs for n in range(*run)]
    others = [n for n in range(x.shape[2 + axis]) if n not in kept]
    assert torch.equal(y[0, 0].movedim(axis, 0)[others], x[0, 0].movedim(axis, 0)[others])
    for first, last in runs:
        part = x[0, 0].movedim(axis, 0)[first:last].movedim(0, axis).numpy()
        wanted = torch.from_numpy(expected(part, 2, 3, np.float32(0.25), True))
        torch.testing.assert_close(y[0, 0].movedim(axis, 0)[first:last], wanted.movedim(axis, 0))
    np.testing.assert_allclose(y[0, 1], expected(x[0, 1].numpy(), 2, 3, np.float32(0.25), True), rtol=1e-5)


def test_a_volume_of_one_value_is_not_computed() -> None:
    spy, x = Spy(), torch.full((1, 1, 8, 8, 8), 0.3)
    assert torch.equal(SliceDenoiseInferer(3)(x, spy, slice_axis=2), x) and not spy.seen


@pytest.mark.parametrize("value", [1e4, -1e4, 1e30])
def test_a_voxel_beyond_the_scale_stays_and_its_neighbours_do_not_see_it(value: float) -> None:
    x = torch.rand(1, 1, 9, 10, 12)
    hot = x.clone()
    hot[0, 0, 4, 5, 6] = value
    spy = Spy()
    y = SliceDenoiseInferer(3, precision="float32")(hot, spy, slice_axis=2)
    assert y[0, 0, 4, 5, 6] == hot[0, 0, 4, 5, 6]
    assert max(float(batch.abs().max()) for batch in spy.seen) <= 1


def test_the_noise_is_found_if_it_is_not_given() -> None:
    noisy = np.random.default_rng(0).rayleigh(0.1, (1, 1, 24, 24, 6)).astype(np.float32)
    spy = Spy()
    SliceDenoiseInferer(1, noise_map=True, precision="float32")(torch.from_numpy(noisy), spy, slice_axis=2)
    assert float(spy.seen[0][:, 1, :24, :24].mean()) == pytest.approx(0.1, rel=0.2)


def test_strips_too_narrow_for_a_network_stay() -> None:
    spy, x = Spy(), torch.rand(1, 1, 3, 40, 40)
    assert torch.equal(SliceDenoiseInferer(3)(x, spy, slice_axis=2), x) and not spy.seen


def test_larger_slices_come_in_smaller_batches() -> None:
    spy = Spy()
    SliceDenoiseInferer(1, batch_size=4, precision="float32")(torch.rand(1, 1, 6, 1024, 512), spy, slice_axis=0)
    assert [len(batch) for batch in spy.seen] == [2, 2, 2]


class Cramped(Spy):
    """Has memory for so many slices."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if len(x) > self.room:
            raise torch.OutOfMemoryError("out of memory")
        return super().forward(x)


def test_out_of_memory_makes_batches_smaller() -> None:
    x = volumes(1)
    plenty, little = Spy(), Cramped(2)
    inferer = SliceDenoiseInferer(3, batch_size=7, precision="float32")
    torch.testing.assert_close(inferer(x, little, slice_axis=2), inferer(x, plenty, slice_axis=2), rtol=0, atol=0)
    assert {len(batch) for batch in little.seen} == {1}  # 7, 3, then 1
    with pytest.raises(torch.OutOfMemoryError):
        inferer(x, Cramped(0), slice_axis=2)
