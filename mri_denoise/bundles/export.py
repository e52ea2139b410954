"""A bundle's network as a ``torch.export`` program: one file without Python code, that PyTorch alone loads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from mri_denoise.io.files import write_beside

_LARGEST = 4096  # pixels along an axis that the program is told of
_EXAMPLE = 8  # pixels along the example's axes, in units of the network's factor


def export_program(network: Any, path: Path | str) -> Path:
    """Write a network as a program of ``torch.export`` (PyTorch's successor of TorchScript), on the CPU.

    ``torch.export.load(path).module()`` gives a function from (N, ``network.input_channels``, H, W) to what the network
    gives, (N, 1, H, W) of a denoised image. N is any number, H and W are multiples of ``network.factor`` (8 for the
    shipped networks), from two times that to 4096: repeat an image's last pixels up to the next one, and cut the
    result.

    Args:
        network: one of :mod:`mri_denoise.networks` in two dimensions.
        path: ends in ``.pt2``; replaced if it exists.

    Returns:
        the path.

    Raises:
        OutputError: if it cannot be written.
    """
    path, factor = Path(path), getattr(network, "factor", 1)
    size = factor * _EXAMPLE
    example = torch.rand(2, network.input_channels, size, size + factor)
    sides = [_multiple(name, factor) for name in ("height", "width")]
    shapes = ({0: torch.export.Dim("batch", min=1, max=_LARGEST), 2: sides[0], 3: sides[1]},)
    with torch.no_grad():
        program = torch.export.export(network.to("cpu").eval(), (example,), dynamic_shapes=shapes)
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_beside(path) as partial:
        torch.export.save(program, partial)
    return path


def _multiple(name: str, factor: int) -> Any:
    """A side of the image: a multiple of the factor."""
    number = torch.export.Dim(name, min=2, max=_LARGEST // factor)
    return number if factor == 1 else factor * number
