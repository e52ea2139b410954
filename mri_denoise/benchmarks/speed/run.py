"""How fast the package is: the machine, the network, volumes, growth. Each part is measured by itself."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import nibabel as nib
import torch

from mri_denoise.benchmarks.progress import SILENT, Progress
from mri_denoise.benchmarks.speed.backends import backends, precisions
from mri_denoise.benchmarks.speed.machine import Peak, measure_peaks
from mri_denoise.benchmarks.speed.methods import candidates
from mri_denoise.benchmarks.speed.network import NetworkLine, measure_networks
from mri_denoise.benchmarks.speed.scaling import Growth, measure_batches, measure_growth, measure_threads
from mri_denoise.benchmarks.speed.timing import PROGRAM, Timing, run_again
from mri_denoise.benchmarks.speed.volume import VolumeLine, make_volume, measure_volumes
from mri_denoise.bundles.registry import find_bundle
from mri_denoise.denoiser import Denoiser

MOST = 8  # slices at a time in the comparison of networks: DnCNN takes long and is no faster with more
PARTS = ("machine", "network", "start", "volume", "scaling")
STARTS = (("mri-denoise", "--help"), ("mri-denoise", "models"), ("mri-denoise", "denoise", "--no-such-option"))


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How much is measured.

    Args:
        repetitions: of each measurement.
        size: height and width of slices.
        batches: numbers of slices at a time.
        shape: voxels of the phantom: those of the yardstick, 1 mm, by default.
        voxels: sizes of the volumes that show the growth.
        quick: measure the peaks on small shapes, too.
    """

    repetitions: int = 5
    size: int = 256
    batches: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    shape: tuple[int, int, int] = (181, 217, 181)
    voxels: tuple[float, ...] = (1e5, 1e6, 1e7, 1e8)
    quick: bool = False


QUICK = Effort(repetitions=1, size=32, batches=(1, 4), shape=(24, 28, 9), voxels=(1e4, 1e5), quick=True)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The choices of a run.

    Args:
        volume: NIfTI file of one volume; None for the phantom with Rician noise of 5 %.
        model: name or folder of the bundle.
        device: ``"cpu"``, ``"cuda"`` or ``"mps"``.
        skip: of :func:`skippable`.
        effort: how much is measured.
    """

    volume: Path | None = None
    model: str = "rician"
    device: str = "cpu"
    skip: Sequence[str] = ()
    effort: Effort = field(default_factory=Effort)

    def as_dict(self) -> dict[str, object]:
        """All choices by name, for the record."""
        found = asdict(self)
        return found | found.pop("effort")


@dataclass(frozen=True, kw_only=True)
class Speed:
    """What was measured; a part that was left out is empty.

    Args:
        peaks: of the machine, by precision.
        networks: the network alone.
        starts: seconds of commands that do next to nothing.
        volumes: whole volumes.
        shape: of the volume.
        growth: with voxels.
        threads: seconds of a call, by precision and number of threads.
        batches: seconds of a call, by precision and number of slices.
        batch: number of slices in each call of ``threads``.
        absent: why something is not installed or failed, by label.
    """

    peaks: dict[str, Peak] = field(default_factory=dict)
    networks: list[NetworkLine] = field(default_factory=list)
    starts: dict[str, Timing] = field(default_factory=dict)
    volumes: list[VolumeLine] = field(default_factory=list)
    shape: tuple[int, ...] = ()
    growth: Growth | None = None
    threads: dict[str, dict[int, Timing]] = field(default_factory=dict)
    batches: dict[str, dict[int, Timing]] = field(default_factory=dict)
    batch: int = MOST
    absent: dict[str, str] = field(default_factory=dict)


def skippable(device: str) -> list[str]:
    """What can be left out: parts, the commands, methods and backends."""
    methods = [candidate.name for candidate in candidates("", device)]
    return [*PARTS, "command", *methods, *dict.fromkeys(backend.name for backend in backends(device))]


def measure_speed(settings: Settings, progress: Progress = SILENT) -> Speed:
    """Measure everything that ``settings.skip`` does not name.

    Args:
        settings: the choices of the run.
        progress: told what is measured.

    Raises:
        InputError: if the bundle or the volume cannot be used.
    """
    effort, device, skip, model = settings.effort, settings.device, settings.skip, settings.model
    again = effort.repetitions
    denoiser = Denoiser(find_bundle(model), device=device)
    network = denoiser.network.eval()
    speed, absent = Speed(), dict[str, str]()
    if "machine" not in skip:
        progress.say("the machine's peak")
        speed = replace(speed, peaks=measure_peaks(precisions(device), again, effort.quick, device))
    if "network" not in skip:
        progress.say("the network alone")
        batches = [n for n in effort.batches if n <= MOST]
        networks, missing = measure_networks(
            network, denoiser.uses_sigma, effort.size, batches, again, speed.peaks, skip, device
        )
        speed, absent = replace(speed, networks=networks), absent | missing
    if "scaling" not in skip:
        progress.say("threads and batches")
        by_batch, by_threads = _measure_calls(network, effort, device)
        growth = measure_growth(effort.voxels, model, device, min(again, 3), progress)
        speed = replace(speed, batches=by_batch, threads=by_threads, growth=growth)
    if "start" not in skip:
        progress.say("start-up")
        starts = {" ".join(words): run_again([*PROGRAM, *words[1:]], again, may_fail=True) for words in STARTS}
        speed = replace(speed, starts=starts)
    if "volume" not in skip:
        with tempfile.TemporaryDirectory() as folder:
            source = settings.volume or make_volume(effort.shape, Path(folder) / "phantom.nii.gz")
            volumes, missing = measure_volumes(source, model, device, min(again, 3), skip, progress)
            speed, absent = replace(speed, volumes=volumes, shape=_shape(source)), absent | missing
    return replace(speed, absent=absent)


def _shape(path: Path) -> tuple[int, ...]:
    image: Any = nib.load(path)
    return tuple(image.shape)


def _measure_calls(
    network: torch.nn.Module, effort: Effort, device: str
) -> tuple[dict[str, dict[int, Timing]], dict[str, dict[int, Timing]]]:
    """Seconds of a call by precision and number of slices, and by precision and number of threads (on a CPU)."""
    channels, size, again = int(network.input_channels), effort.size, effort.repetitions  # type: ignore[arg-type]
    kinds = precisions(device)
    batches = {kind: measure_batches(network, channels, size, effort.batches, kind, again, device) for kind in kinds}
    if device != "cpu":
        return batches, {}
    return batches, {kind: measure_threads(network, channels, size, MOST, kind, again) for kind in kinds}
