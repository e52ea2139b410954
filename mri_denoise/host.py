"""What the program around us told PyTorch and MONAI, which must not change our results."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch

from mri_denoise._monai import import_monai
from mri_denoise.errors import InputError


def new_tensors_on_cpu() -> AbstractContextManager[Any]:
    """Make tensors on the CPU in the block, wherever the program around it has its own made; we say what moves."""
    return nullcontext() if torch.get_default_device().type == "cpu" else torch.device("cpu")


@contextmanager
def usual_torch() -> Iterator[None]:
    """Let PyTorch and MONAI do as they usually do in the block, whatever the program around it told them.

    Raises:
        InputError: if MONAI is told to keep no metadata: steps hand on by them how to scale back.
    """
    import_monai()
    from monai.data import get_track_meta

    if not get_track_meta():
        raise InputError("MONAI keeps no metadata at the moment; call monai.data.set_track_meta(True) before.")
    with new_tensors_on_cpu():
        yield
