"""The run record: what was done to which input, by which weights, with what settings, on which machine."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from mri_denoise import __version__
from mri_denoise.bundles.registry import Model
from mri_denoise.io.files import write_beside
from mri_denoise.runtime import usable_cores

PACKAGES = ("torch", "monai", "numpy", "nibabel", "pydicom")


@dataclass(frozen=True, kw_only=True)
class FileHash:
    """A file as it was when it was read.

    Args:
        path: as it was given.
        sha256: of its content, in hexadecimal digits.
    """

    path: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """What was done to one image.

    Args:
        time: when it was done, UTC, ISO 8601.
        case: how messages name the image.
        model: the bundle that denoised.
        settings: everything that shaped the result, by name.
        sigma: noise level of each volume (of a map its median) in the unit of the file; None where the model does not
            use it.
        sigma_variation: high by low sigma over the image for each volume (95th by 5th percentile), where it was found.
        returned: voxels of each volume in which removed signal came back, where the model looks for it.
        inputs: the files that were read.
        outputs: the files of the result.
        companions: the files beside it, as the residual.
        seconds: what reading, denoising and writing took, without waiting.
        versions: of this package and of those that shape the result.
    """

    time: str
    case: str
    model: Model
    settings: Mapping[str, str | float | int | None]
    sigma: Sequence[float] | None
    sigma_variation: Sequence[float] | None
    returned: Sequence[int] | None
    inputs: Sequence[FileHash]
    outputs: Sequence[str]
    companions: Sequence[str]
    seconds: float
    versions: Mapping[str, str]

    def as_dict(self) -> dict[str, Any]:
        """Everything in types that JSON knows."""
        return asdict(self)


def versions() -> dict[str, str]:
    """Versions of Python, of this package and of those that shape the result."""
    found = {"python": platform.python_version(), "mri-denoise": __version__}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # a source tree without installed metadata
            continue
    return found


def command_line() -> str:
    """The command as it was given, without the folder of the program."""
    return " ".join(["mri-denoise", *sys.argv[1:]])


def run() -> dict[str, Any]:
    """What a record says of any run: ``time``, ``command``, ``machine`` and ``versions``."""
    return {"time": now(), "command": command_line(), "machine": machine(), "versions": versions()}


def machine() -> dict[str, Any]:
    """Processor, cores and threads, operating system, and the GPU where there is one."""
    import torch

    here: dict[str, Any] = {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "usable_cores": usable_cores(),
        "torch_threads": torch.get_num_threads(),
        "system": platform.platform(),
    }
    if torch.cuda.is_available():
        here["gpu"] = torch.cuda.get_device_name()
    return here


def describe(here: dict[str, Any]) -> str:
    """A machine (:func:`machine`) in words."""
    gpu = f", {here['gpu']}" if "gpu" in here else ""
    return (
        f"{here['processor']}, {here['usable_cores']} of {here['cores']} cores, {here['torch_threads']} threads in "
        f"PyTorch{gpu}"
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def now() -> str:
    """The present time, UTC, ISO 8601."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def write_record(record: dict[str, Any], path: Path) -> Path:
    """Write ``record`` as JSON to ``path``, whole or not at all.

    Raises:
        OutputError: if it cannot be written.
    """
    with write_beside(path) as partial:
        partial.write_text(json.dumps(record, indent=2, default=str) + "\n", encoding="utf-8")
    return path
