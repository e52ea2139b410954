"""The network alone: milliseconds a slice in each backend and precision beside DnCNN, and its change of PSNR."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

import numpy as np
import torch

from mri_denoise.benchmarks.references import LEVELS
from mri_denoise.benchmarks.speed.backends import Backend, Run, backends
from mri_denoise.benchmarks.speed.machine import Peak, count_flops
from mri_denoise.benchmarks.speed.timing import Timing, measure_in_turn
from mri_denoise.errors import reason
from mri_denoise.inference.slice_plan import SliceStack
from mri_denoise.networks import DnCNN
from mri_denoise.noise.simulate import add_rician
from mri_denoise.simulation import head_phantom

BATCH = 4


@dataclass(frozen=True, kw_only=True)
class NetworkLine:
    """One network in one backend and precision.

    Args:
        network: ``"ours"`` or ``"DnCNN"``.
        backend: name of the program.
        precision: of its arithmetic.
        gflop: of a slice.
        milliseconds: of a slice, in batches of 4.
        best_milliseconds: of a slice, in the fastest batch.
        best_batch: number of slices in the fastest batch.
        gflops: GFLOP/s in the fastest batch.
        share: its share of the fastest convolution in that precision; None where that was not measured.
        dncnn_ratio: how many times longer DnCNN takes in PyTorch in the same precision, each in its fastest batch.
        preparation: seconds to make it ready, including its first call.
        psnr_change: of ours: dB against PyTorch in float32 on the phantom, by noise level in percent.
    """

    network: str
    backend: str
    precision: str
    gflop: float
    milliseconds: Timing
    best_milliseconds: float
    best_batch: int
    gflops: float
    share: float | None
    dncnn_ratio: float | None
    preparation: float
    psnr_change: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class _Ready:
    """A network in a backend, ready to run."""

    network: str
    backend: Backend
    run: Run
    gflop: float
    preparation: float


def measure_networks(
    network: torch.nn.Module,
    noise_map: bool,
    size: int,
    batches: Sequence[int],
    repetitions: int,
    peaks: Mapping[str, Peak],
    skip: Sequence[str] = (),
    device: str = "cpu",
) -> tuple[list[NetworkLine], dict[str, str]]:
    """Measure ours in every backend, and DnCNN in PyTorch.

    Args:
        network: ours, in evaluation mode, on the device in ``channels_last`` order.
        noise_map: whether its last channel is the noise level.
        size: height and width of the slices.
        batches: numbers of slices at a time; 4 is always measured.
        repetitions: see :func:`measure_in_turn`.
        peaks: see :func:`measure_peaks`.
        skip: names of backends to leave out.
        device: where to compute.

    Returns:
        the lines, and why a backend is absent, by its label.
    """
    depth = int(network.num_slices)  # type: ignore[arg-type]
    rival: Any = DnCNN(num_slices=depth, noise_map=noise_map).eval()
    rival = rival.to(device, memory_format=torch.channels_last)
    batch = _slices(size, BATCH, depth, noise_map, LEVELS[2])[0].to(device)
    ready, absent = [], {}
    for backend in backends(device):
        if backend.name in skip:
            continue
        if not backend.available():
            absent[backend.label] = f"pip install {backend.package}"
            continue
        try:
            ready.append(_prepare("ours", network, backend, batch))
            if backend.name == "PyTorch":
                ready.append(_prepare("DnCNN", rival, backend, batch))
        except Exception as error:  # a missing compiler or operator: the others go on
            absent[backend.label] = reason(error)
    times = {n: _times(ready, torch.cat([batch] * -(-n // BATCH))[:n], repetitions, device) for n in {BATCH, *batches}}
    reference = next((r.run for r in ready if r.network == "ours" and r.backend.precision == "float32"), None)
    changes = [
        _changes(r.run, reference, size, depth, noise_map, device) if r.network == "ours" and reference else {}
        for r in ready
    ]
    return [_line(r, i, ready, times, peaks, c) for i, (r, c) in enumerate(zip(ready, changes, strict=True))], absent


def _prepare(name: str, network: torch.nn.Module, backend: Backend, batch: torch.Tensor) -> _Ready:
    flops = count_flops(lambda: network(batch))
    start = time.perf_counter()
    run = backend.prepare(network, batch)
    run(batch)
    seconds = time.perf_counter() - start
    return _Ready(network=name, backend=backend, run=run, gflop=flops / len(batch) / 1e9, preparation=seconds)


def _times(ready: Sequence[_Ready], batch: torch.Tensor, repetitions: int, device: str) -> list[Timing]:
    calls: dict[str, Callable[[], object]] = {str(i): partial(r.run, batch) for i, r in enumerate(ready)}
    return list(measure_in_turn(calls, repetitions, device).values())


def _line(
    ready: _Ready,
    index: int,
    everything: Sequence[_Ready],
    times: Mapping[int, Sequence[Timing]],
    peaks: Mapping[str, Peak],
    change: dict[str, float],
) -> NetworkLine:
    precision = ready.backend.precision
    batch, seconds = _fastest(index, times)
    peak = peaks.get(precision)
    rivals = (i for i, r in enumerate(everything) if r.network == "DnCNN" and r.backend.precision == precision)
    rival = next(rivals, None)
    ratio = None if rival is None else _fastest(rival, times)[1] / seconds
    gflops = ready.gflop / seconds
    return NetworkLine(
        network=ready.network,
        backend=ready.backend.name,
        precision=precision,
        gflop=ready.gflop,
        milliseconds=times[BATCH][index].scaled(1e3 / BATCH),
        best_milliseconds=1e3 * seconds,
        best_batch=batch,
        gflops=gflops,
        share=gflops / peak.convolution_gflops if peak else None,
        dncnn_ratio=ratio,
        preparation=ready.preparation,
        psnr_change=change,
    )


def _fastest(index: int, times: Mapping[int, Sequence[Timing]]) -> tuple[int, float]:
    """The batch in which a slice takes least, and its seconds."""
    each = {n: timings[index].least / n for n, timings in times.items()}
    best = min(each, key=lambda n: each[n])
    return best, each[best]


@cache
def _phantom(size: int, slices: int) -> np.ndarray:
    return head_phantom((size, size, slices))


def _slices(size: int, count: int, depth: int, noise_map: bool, level: float) -> tuple[torch.Tensor, np.ndarray]:
    """Slices of the phantom with noise, as the network takes them, and the truth."""
    truth = _phantom(size, max(count + depth, 8))
    start = (truth.shape[2] - count) // 2
    noisy = add_rician(truth, level / 100, np.random.default_rng(0)).astype(np.float32)
    sigma = torch.tensor(level / 100) if noise_map else None
    slices = torch.from_numpy(noisy).movedim(2, 0)
    stack = SliceStack(slices=slices, sigma=sigma, num_slices=depth, contiguous=True)
    batch = stack.batch(torch.arange(start, start + count)).contiguous(memory_format=torch.channels_last)
    return batch, np.moveaxis(truth, 2, 0)[start : start + count]


def _changes(run: Run, reference: Run, size: int, depth: int, noise_map: bool, device: str) -> dict[str, float]:
    """The PSNR over the head less that of the reference, in dB, at each noise level."""
    changes = {}
    for level in LEVELS:
        batch, truth = _slices(size, BATCH, depth, noise_map, level)
        batch, head = batch.to(device), truth > 10 / 255
        errors = [np.mean(np.square(r(batch)[:, 0].cpu().numpy() - truth)[head]) for r in (reference, run)]
        changes[f"{level:g}"] = float(10 * np.log10(errors[0] / errors[1]))
    return changes
