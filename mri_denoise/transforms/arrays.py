"""The numbers of an image in whatever holds them: NumPy or PyTorch, on any device."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from monai.config.type_definitions import NdarrayOrTensor


def as_array(image: NdarrayOrTensor, dtype: Any = None) -> np.ndarray:
    """An image as a NumPy array, also of a tensor on a GPU, of one that has gradients, and of bfloat16.

    Args:
        image: any shape.
        dtype: of the result; that of the image by default, float32 for bfloat16, which NumPy does not know.

    Returns:
        the same memory where that is possible.
    """
    if isinstance(image, torch.Tensor):
        plain = image.as_subclass(torch.Tensor).detach().cpu()
        return np.asarray((plain.float() if plain.dtype == torch.bfloat16 else plain).numpy(), dtype=dtype)
    return np.asarray(image, dtype=dtype)


def as_tensor(image: NdarrayOrTensor) -> torch.Tensor:
    """An image as a tensor without metadata and gradients, also of an array that PyTorch does not take as it is.

    Args:
        image: any shape; an array may be read-only, and in any order of bytes and axes.

    Returns:
        the same memory where that is possible.
    """
    if isinstance(image, torch.Tensor):
        return image.as_subclass(torch.Tensor).detach()
    array = np.asarray(image)
    if not array.dtype.isnative or not array.flags.writeable or min(array.strides, default=0) < 0:
        array = np.array(array, dtype=array.dtype.newbyteorder("="), order="C")
    return torch.as_tensor(array)
