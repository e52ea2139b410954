"""How fast we are: the machine, the network, volumes, growth. Each part is measured and can be left out."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from mri_denoise import record as provenance
from mri_denoise.benchmarks.speed.backends import backends, precisions
from mri_denoise.benchmarks.speed.machine import Peak, measure_peaks
from mri_denoise.benchmarks.speed.methods import volume_methods
from mri_denoise.benchmarks.speed.network import NetworkLine, measure_networks
from mri_denoise.benchmarks.speed.scaling import Growth, measure_batches, measure_growth, measure_threads
from mri_denoise.benchmarks.speed.timing import Timing, run_again
from mri_denoise.benchmarks.speed.volume import PROGRAM, VolumeLine, make_volume, measure_volumes
from mri_denoise.bundles.registry import find_bundle
from mri_denoise.denoiser import Denoiser as LearnedModel

MOST = 8  # slices at a time in the comparison of networks: DnCNN takes long and is no faster in more
PARTS = ("machine", "network", "start", "volume", "scaling")


@dataclass(frozen=True)
class Effort:
    """How much is measured.

    Args:
        repetitions: that count.
        size: height and width of slices.
        batches: slices at a time.
        shape: voxels of the phantom: the yardstick's, 1 mm, by default.
        voxels: sizes of the growth.
        quick: small peaks, too.
    """

    repetitions: int = 5
    size: int = 256
    batches: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    shape: tuple[int, int, int] = (181, 217, 181)
    voxels: tuple[float, ...] = (1e5, 1e6, 1e7, 1e8)
    quick: bool = False


QUICK = Effort(1, 32, (1, 4), (24, 28, 9), (1e4, 1e5), True)


@dataclass
class Speed:
    """What was measured; a part that was left out is empty.

    Args:
        peaks: of the machine, by precision.
        networks: the network alone.
        starts: seconds of commands that do next to nothing.
        volumes: whole volumes.
        shape: of that volume.
        growth: with voxels.
        threads: by precision and number of threads: seconds of a call.
        batches: by precision and number of slices: seconds of a call.
        batch: slices in each call of ``threads``.
        absent: what is not installed or failed, with the reason.
    """

    peaks: dict[str, Peak] = field(default_factory=dict)
    networks: list[NetworkLine] = field(default_factory=list)
    starts: dict[str, Timing] = field(default_factory=dict)
    volumes: list[VolumeLine] = field(default_factory=list)
    shape: tuple[int, ...] = ()
    growth: Growth | None = None
    threads: dict[str, dict[int, Timing]] = field(default_factory=dict)
    batches: dict[str, dict[int, Timing]] = field(default_factory=dict)
    batch: int = 8
    absent: dict[str, str] = field(default_factory=dict)


def skippable(device: str) -> list[str]:
    """What can be left out: parts, the commands, methods and backends."""
    methods = dict.fromkeys(method.stem for method in volume_methods(device))
    return [*PARTS, "command", *methods, *dict.fromkeys(backend.name for backend in backends(device))]


def measure_speed(
    volume: Path | None,
    model: str,
    device: str,
    effort: Effort,
    skip: Sequence[str] = (),
    say: Callable[[str], None] = lambda what: None,
) -> Speed:
    """Measure everything that ``skip`` does not name.

    Args:
        volume: NIfTI file of one volume; None for the phantom with Rician noise of 5 %.
        model: name or folder of the bundle.
        device: ``"cpu"``, ``"cuda"`` or ``"mps"``.
        effort: how much.
        skip: of :func:`skippable`.
        say: told what begins.

    Raises:
        InputError: if the bundle or the volume cannot be used.
    """
    speed, again = Speed(), effort.repetitions
    learned = LearnedModel(find_bundle(model), device=device)
    network = learned.network.eval()
    if "machine" not in skip:
        say("the machine's peak")
        speed.peaks = measure_peaks(precisions(device), again, effort.quick, device)
    if "network" not in skip:
        say("the network alone")
        speed.networks, absent = measure_networks(
            network,
            learned.uses_sigma,
            effort.size,
            [n for n in effort.batches if n <= MOST],
            again,
            speed.peaks,
            skip,
            device,
        )
        speed.absent |= absent
    if "scaling" not in skip:
        say("threads and batches")
        _measure_calls(speed, network, effort, device)
        speed.growth = measure_growth(effort.voxels, model, device, min(again, 3), say)
    if "start" not in skip:
        say("start-up")
        for words in (["--help"], ["models"], ["denoise", "--no-such-option"]):
            speed.starts["mri-denoise " + " ".join(words)] = run_again([*PROGRAM, *words], again, may_fail=True)
    if "volume" not in skip:
        with tempfile.TemporaryDirectory() as folder:
            source = volume or make_volume(effort.shape, Path(folder) / "phantom.nii.gz")
            speed.shape = _shape(source)
            speed.volumes, absent = measure_volumes(source, model, device, min(again, 3), skip, say)
        speed.absent |= absent
    return speed


def _shape(path: Path) -> tuple[int, ...]:
    import nibabel as nib

    image: Any = nib.load(path)
    return tuple(image.shape)


def _measure_calls(speed: Speed, network: torch.nn.Module, effort: Effort, device: str) -> None:
    channels = int(network.in_channels)  # type: ignore[arg-type]
    for precision in precisions(device):
        speed.batches[precision] = measure_batches(
            network, channels, effort.size, effort.batches, precision, effort.repetitions, device
        )
        if device == "cpu":
            speed.threads[precision] = measure_threads(
                network, channels, effort.size, speed.batch, precision, effort.repetitions
            )


def as_record(speed: Speed, settings: dict[str, Any]) -> dict[str, Any]:
    """Everything with the machine, the versions and the command, for JSON."""
    return provenance.run() | {"settings": settings, **asdict(speed)}
