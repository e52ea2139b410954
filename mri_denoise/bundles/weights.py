"""Weights on disk: read safely, and checked against their recorded SHA-256."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch

from mri_denoise.errors import WeightsError

SUMS = "SHA256SUMS"


def sha256(path: Path | str) -> str:
    """SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def recorded_sha256(path: Path | str) -> str | None:
    """The SHA-256 that the file ``SHA256SUMS`` beside the weights gives them, or None where there is none."""
    path = Path(path)
    sums = path.parent / SUMS
    if not sums.is_file():
        return None
    for line in sums.read_text(encoding="utf-8").splitlines():
        digest, _, name = line.partition("  ")
        if name.strip() == path.name:
            return digest.strip()
    return None


def record_sha256(folder: Path | str) -> None:
    """Write ``SHA256SUMS`` (the format of ``sha256sum``) for the weights in ``folder``."""
    folder = Path(folder)
    files = sorted(p for p in folder.iterdir() if p.suffix in (".pt", ".safetensors"))
    (folder / SUMS).write_text("".join(f"{sha256(p)}  {p.name}\n" for p in files), encoding="utf-8")


def load_weights(network: torch.nn.Module, path: Path | str) -> torch.nn.Module:
    """Put the weights of a ``.safetensors`` file or a ``.pt`` state dict into ``network``, in evaluation mode.

    Args:
        network: the network that they belong to.
        path: the file. Where ``SHA256SUMS`` beside it has an entry for it, the file must agree.

    Returns:
        the same network.

    Raises:
        WeightsError: if the file is missing, differs from its record or does not fit the network.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"{path}: no such weights; train the bundle first, or name another weights file.")
    recorded = recorded_sha256(path)
    if recorded is not None and sha256(path) != recorded:
        raise WeightsError(f"{path}: differs from the SHA-256 recorded in {SUMS}; install the package again.")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
            state = state.get("model", state)
        network.load_state_dict(state)
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(f"{path}: these weights do not fit the network ({reason}).") from error
    return network.eval()
