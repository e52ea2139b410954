"""Clocks, peaks, slopes and network lines of the speed benchmark, against what can be known without a clock."""

from __future__ import annotations

import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from torch import nn

from mri_denoise.benchmarks.references import LEVELS
from mri_denoise.benchmarks.speed.machine import count_flops, measure_peaks
from mri_denoise.benchmarks.speed.methods import CLASSICAL, candidates, load_method
from mri_denoise.benchmarks.speed.network import measure_networks
from mri_denoise.benchmarks.speed.scaling import fit_slope, measure_batches, measure_threads, volume_shape
from mri_denoise.benchmarks.speed.timing import Timing, measure_in_turn, run_command
from mri_denoise.benchmarks.speed.volume import make_volume
from mri_denoise.errors import InputError
from mri_denoise.networks import HMADNet

MIB = 2**20


def test_functions_are_timed_in_turn_after_one_call_that_does_not_count() -> None:
    calls: list[str] = []
    times = measure_in_turn({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 3)
    assert calls == ["a", "b"] * 4
    assert {name: timing.repetitions for name, timing in times.items()} == {"a": 3, "b": 3}


def test_a_timing_keeps_the_fastest_and_the_median() -> None:
    timing = Timing.of([3.0, 1.0, 2.5])
    assert (timing.least, timing.median, timing.repetitions) == (1.0, 2.5, 3)
    assert timing.scaled(10) == Timing(least=10.0, median=25.0, repetitions=3)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="sizes of processes differ")
def test_peak_memory_is_the_commands_own_not_this_processs() -> None:
    ballast = np.ones(200 * MIB, dtype=np.uint8)  # this process is larger than the small command may be
    small, large = (
        run_command([sys.executable, "-I", "-c", f"x = b'x' * ({size} * 2**20); print('done')"]) for size in (1, 150)
    )
    assert small.peak_bytes is not None and large.peak_bytes is not None
    assert small.peak_bytes < 60 * MIB < ballast.nbytes
    assert 140 * MIB < large.peak_bytes - small.peak_bytes < 170 * MIB
    assert small.output == "done\n" and (small.cpu_seconds or 0) > 0 and small.seconds > 0


def test_a_command_that_fails_says_why() -> None:
    words = [sys.executable, "-I", "-c", "raise SystemExit('no weights')"]
    with pytest.raises(InputError, match=r"failed \(no weights\)"):
        run_command(words)
    assert run_command(words, may_fail=True).output == ""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")
def test_command_whose_clock_is_killed() -> None:
    with pytest.raises(InputError, match="was stopped"):
        run_command([sys.executable, "-c", "import os; os.kill(os.getppid(), 9)"])


def test_flops_of_a_convolution_are_its_multiplications_and_additions() -> None:
    conv, x = nn.Conv2d(3, 5, 3, padding=1), torch.rand(2, 3, 8, 10)
    assert count_flops(lambda: conv(x)) == 2 * (2 * 8 * 10) * 5 * 3 * 9
    network, image = HMADNet(channels=(4, 8)).eval(), torch.rand(1, 1, 16, 16)
    with torch.no_grad():  # here convolutions are fused with what follows, which hides them from a counter
        fused = count_flops(lambda: network(image))
    assert fused == count_flops(lambda: network.train()(image)) > 2 * 256 * (1 * 4 + 4 * 4) * 9


def test_peaks_name_the_convolution_that_reached_them() -> None:
    peak = measure_peaks(["float32"], 1, quick=True)["float32"]
    assert peak.convolutions[peak.convolution_shape] == peak.convolution_gflops == max(peak.convolutions.values())
    assert peak.matrix_gflops > 0


@pytest.mark.parametrize("power", [1.0, 1.5])
def test_the_slope_of_a_power_law_is_its_power(power: float) -> None:
    points = [(n, 1e-6 * n**power) for n in (1e5, 1e6, 1e7)]
    assert fit_slope(points, 0.0) == pytest.approx(power)
    # what is lost in the start-up of 4 s is left out, and with one size left there is no line
    assert fit_slope([(1e3, 0.5), (1e7, 10.0), (1e8, 100.0)], 4.0) == pytest.approx(1.0)
    assert fit_slope([(1e3, 0.5), (1e8, 100.0)], 4.0) is None


@pytest.mark.parametrize("voxels", [1e4, 1e5, 1e6, 1e7, 1e8])
def test_volumes_have_about_as_many_voxels_as_asked(voxels: float) -> None:
    shape = volume_shape(voxels)
    assert np.prod(shape) == pytest.approx(voxels, rel=0.1)
    assert max(shape[:2]) <= 512 and shape[2] >= 8


@pytest.mark.parametrize("shape", [(16, 20, 9), (300, 12, 8)])
def test_the_volume_is_noisy_int16_of_any_size(tmp_path: Path, shape: tuple[int, int, int]) -> None:
    image = nib.load(make_volume(shape, tmp_path / "x.nii"))
    assert image.shape == shape and image.get_data_dtype() == np.int16
    np.testing.assert_allclose(image.header.get_zooms(), 1)
    values = np.asarray(image.dataobj)
    assert values.std(axis=2).min() > 0  # noise everywhere, air too


def network() -> HMADNet:
    torch.manual_seed(0)
    net = HMADNet(channels=(8, 16), num_slices=3, noise_map=True, head="residual").eval()
    nn.init.normal_(net.last.weight, std=0.01)
    return net.to(memory_format=torch.channels_last)


def test_networks_are_held_to_dncnn_to_the_peak_and_to_float32() -> None:
    peaks = measure_peaks(["float32"], 1, quick=True)
    lines, absent = measure_networks(network(), True, 32, (1, 2), 2, peaks, ("torch.compile", "OpenVINO"))
    by_name = {(line.network, line.backend, line.precision): line for line in lines}
    ours, rival = by_name["ours", "PyTorch", "float32"], by_name["DnCNN", "PyTorch", "float32"]
    assert "torch.compile, float32" not in absent
    assert ours.psnr_change == {f"{level:g}": 0.0 for level in LEVELS} and rival.psnr_change == {}
    assert rival.dncnn_ratio == 1.0
    assert ours.dncnn_ratio == pytest.approx(rival.best_milliseconds / ours.best_milliseconds)
    # 15 layers of 64 to 64, one of 4 to 64 and one of 64 to 1
    assert rival.gflop == pytest.approx(2e-9 * 32 * 32 * 9 * 64 * (15 * 64 + 4 + 1))
    for line in lines:
        assert line.gflops == pytest.approx(1e3 * line.gflop / line.best_milliseconds)
        assert line.best_batch in (1, 2, 4)
    assert ours.share == pytest.approx(ours.gflops / peaks["float32"].convolution_gflops)
    other = by_name.get(("ours", "ONNX Runtime", "float32"))
    if other is not None:
        assert max(abs(change) for change in other.psnr_change.values()) < 1e-3


def test_threads_are_set_back() -> None:
    before, net = torch.get_num_threads(), network()
    times = measure_threads(net, 4, 16, 2, "float32", 1)
    assert 1 in times and torch.get_num_threads() == before
    assert list(measure_batches(net, 4, 16, (1, 3), "float32", 1, "cpu")) == [1, 3]


@pytest.mark.parametrize("name", ["itk-curvature", "itk-bilateral", "dncnn-1-float32"])
def test_methods_are_made_by_name_and_smooth(name: str) -> None:
    rng = np.random.default_rng(0)
    image = (100 + rng.normal(0, 5, (20, 24, 8))).astype(np.float32)
    before = image.copy()
    result = load_method(name, "rician", "cpu")(image, 5.0)
    assert result.shape == image.shape and result.dtype == np.float32
    np.testing.assert_array_equal(image, before)
    if name != "dncnn-1-float32":  # random weights
        assert result.std() < 0.7 * image.std() and result.mean() == pytest.approx(100, abs=1)


def test_every_method_has_a_name_of_its_own_and_rivals_are_there_or_absent() -> None:
    found = candidates("rician", "cpu")
    names = [name for candidate in found for name in candidate.variants]
    assert len(set(names)) == len(names)
    assert {"ours", "dncnn", *(method.name for method in CLASSICAL)} == {candidate.name for candidate in found}
    assert {"ours-balanced-float32", "ours-best-float32"} <= set(names)
    installed = {method.name: method.available() for method in CLASSICAL}
    for candidate in found:
        assert candidate.available == installed.get(candidate.name, True)
        assert candidate.available or candidate.hint == "pip install mri-denoise[benchmark]"
