"""Weights on disk: read safely, and checked against their recorded SHA-256."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

from mri_denoise.errors import WeightsError

if TYPE_CHECKING:
    import torch

SUMS = "SHA256SUMS"


def sha256(path: Path | str) -> str:
    """SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def recorded_sha256(path: Path | str) -> str | None:
    """The SHA-256 that the file ``SHA256SUMS`` beside the weights gives them, or None where there is none.

    Raises:
        WeightsError: if that file has no lines as ``sha256sum`` writes them.
    """
    path = Path(path)
    sums = path.parent / SUMS
    if not sums.is_file():
        return None
    try:
        lines = [line.split(maxsplit=1) for line in sums.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise WeightsError(f"{sums}: cannot be read as text; write it again with sha256sum.") from error
    if not all(len(words) == 2 and re.fullmatch("[0-9a-fA-F]{64}", words[0]) for words in lines):
        raise WeightsError(f"{sums}: not lines of sha256sum; write it again.")
    return next((digest.lower() for digest, name in lines if name.strip().lstrip("*") == path.name), None)


def record_sha256(folder: Path | str) -> None:
    """Write ``SHA256SUMS`` (the format of ``sha256sum``) for the weights in ``folder``."""
    folder = Path(folder)
    files = sorted(p for p in folder.iterdir() if p.suffix == ".pt")
    (folder / SUMS).write_text("".join(f"{sha256(p)}  {p.name}\n" for p in files), encoding="utf-8")


def load_weights(network: torch.nn.Module, path: Path | str) -> torch.nn.Module:
    """Put the weights of a ``.pt`` file into ``network``, in evaluation mode.

    The file is read with ``weights_only``, so that no code in it runs, and mapped into memory, so that the weights are
    there once.

    Args:
        network: the network that they belong to.
        path: what ``torch.save`` made of a state dict, or of a dictionary with one under ``model``. Where
            ``SHA256SUMS`` beside it has an entry for it, the file must agree.

    Returns:
        the same network.

    Raises:
        WeightsError: if the file is missing, damaged, differs from its record or does not fit the network.
    """
    import torch

    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"{path}: no such weights; train the bundle first, or name another weights file.")
    recorded = recorded_sha256(path)
    if recorded is not None and sha256(path) != recorded:
        raise WeightsError(f"{path}: differs from the SHA-256 recorded in {SUMS}; install the package again.")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:
        reason = _first_line(error)
        raise WeightsError(f"{path}: not weights that torch.save wrote ({reason}); copy the file again.") from error
    try:
        tensors = dict(state.get("model", state))
        if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values()):
            raise ValueError("NaN or infinity among them")
        if torch.get_default_dtype() != torch.float32:  # the program's around it, in which the network was made
            network.float()
        network.load_state_dict(tensors)
    except Exception as error:
        raise WeightsError(f"{path}: these weights do not fit the network ({_first_line(error)}).") from error
    return network.eval()


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
