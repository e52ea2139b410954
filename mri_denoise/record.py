"""The run record: what was done to which input, by which weights, with what settings, on which machine."""

from __future__ import annotations

import dataclasses
import json
import math
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
from mri_denoise.errors import InputError
from mri_denoise.inference import native
from mri_denoise.io.files import reading, write_beside
from mri_denoise.runtime import usable_cores

# None where a record does not say
_NOT_ALWAYS = ("sigma_variation", "zero", "returned", "cautions", "changed", "device", "collaborative_filter")
PACKAGES = ("torch", "monai", "numpy", "scipy", "nibabel", "pydicom")


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
        sigma: noise level of each volume (of a map its median where it is above 0) in the unit of the file; None where
            the model does not use it.
        sigma_variation: high by low sigma over the image for each volume (95th by 5th percentile), where it was found.
        zero: the value that counts as no signal in each volume, where the model looks for it; 0 unless the image was
            shifted.
        returned: voxels of each volume whose result differs by removed signal that came back, where the model looks for
            it.
        cautions: what is unusual about some volume (:mod:`mri_denoise.noise.cautions`), where the model looks for it.
        changed: whether each volume of the result differs from its input.
        inputs: the files that were read.
        outputs: the files of the result.
        companions: the files beside it, as the residual.
        device: where the network ran: ``"cpu"``, ``"cuda"`` or ``"mps"``.
        collaborative_filter: which form of it ran (:func:`filter_form`); None where the model does without.
        seconds: what reading, denoising and writing took, without waiting.
        versions: of this package and of those that shape the result.
    """

    time: str
    case: str
    model: Model
    settings: Mapping[str, str | float | int | None]
    sigma: Sequence[float] | None
    sigma_variation: Sequence[float] | None
    zero: Sequence[float] | None
    returned: Sequence[int] | None
    cautions: Sequence[str] | None
    changed: Sequence[bool] | None
    inputs: Sequence[FileHash]
    outputs: Sequence[str]
    companions: Sequence[str]
    device: str | None
    collaborative_filter: str | None
    seconds: float
    versions: Mapping[str, str]

    def as_dict(self) -> dict[str, Any]:
        """Everything in types that JSON knows."""
        return asdict(self)


def load_record(path: Path) -> RunRecord:
    """Read the record of a denoised image.

    Args:
        path: a file that :func:`write_record` wrote, also of a version that did not record all that this one does.

    Raises:
        InputError: if it cannot be read, or is not such a record.
    """
    with reading(path):
        content = path.read_bytes()
    try:
        found = json.loads(content)
        known = {field.name: found[field.name] for field in dataclasses.fields(RunRecord) if field.name in found}
        fields: dict[str, Any] = {**dict.fromkeys(_NOT_ALWAYS), **known}
        fields["model"] = Model(**found["model"])
        fields["inputs"] = [FileHash(**file) for file in found["inputs"]]
        record = RunRecord(**fields)
        _check_types(record)
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path}: not the record of a denoised image") from error
    return record


def same_result(record: RunRecord, path: Path) -> RunRecord | None:
    """The record of a result that exists, if it was made of the same inputs in the same way; otherwise None.

    Args:
        record: of the result that was made now.
        path: where that of the other one would be.
    """
    try:
        other = load_record(path)
    except InputError:
        return None
    moment = {"time": record.time, "seconds": record.seconds}
    return (
        other if RunRecord(**{**vars(other), **moment}).as_dict() == json.loads(json.dumps(record.as_dict())) else None
    )


def _check_types(record: RunRecord) -> None:
    """TypeError unless a record from outside holds what its fields are declared to hold."""
    texts = [record.time, record.case, *asdict(record.model).values(), *record.outputs, *record.companions]
    texts += record.cautions or []
    texts += [text for file in record.inputs for text in (file.path, file.sha256)]
    texts += [text for pair in record.versions.items() for text in pair]
    measured = (record.sigma, record.sigma_variation, record.zero, record.returned, record.changed)
    numbers = [record.seconds, *(value for values in measured for value in values or [])]
    plain = all(isinstance(value, str | int | float | None) for value in dict(record.settings).values())
    if (
        not plain
        or not all(isinstance(t, str) for t in texts)
        or not all(isinstance(n, int | float) and math.isfinite(n) for n in numbers)
    ):
        raise TypeError("a field is of another type")


def versions() -> dict[str, str]:
    """Versions of Python, of this package and of those that shape the result."""
    found = {"python": platform.python_version(), "mri-denoise": __version__}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # a source tree without installed metadata
            continue
    return found


def filter_form(settings: Mapping[str, Any]) -> str | None:
    """Which form of the collaborative filter runs: the compiled one and PyTorch's agree, but not bit for bit.

    Args:
        settings: those of the result, as the record has them.

    Returns:
        ``"compiled, avx2"``, ``"PyTorch"`` with the reason, or None where the settings ask for no filter.

    Examples:
        >>> filter_form({"filter_passes": 0}) is None
        True
    """
    return native.description() if settings.get("filter_passes") else None


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
