"""Long series in parts that fit into memory, and one item as a batch without copying it."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from monai.data import MetaTensor, list_data_collate
from torch.utils.data import default_collate

from mri_denoise.errors import InputError
from mri_denoise.io.case import Case

CHUNK_VOXELS = 2**24  # 64 MiB in float32


class Chunk(NamedTuple):
    """Volumes ``start`` to ``stop`` of ``total``."""

    start: int
    stop: int
    total: int

    @property
    def first(self) -> bool:
        """Whether the case begins here."""
        return self.start == 0

    @property
    def last(self) -> bool:
        """Whether the case ends here."""
        return self.stop == self.total

    @property
    def whole(self) -> bool:
        """Whether this is all of the case."""
        return self.first and self.last


def chunks(cases: Sequence[Case], voxels: int = CHUNK_VOXELS) -> list[dict[str, Any]]:
    """The items of a dataset: one a case, several for a series too long to be in memory at once.

    Args:
        cases: what :func:`mri_denoise.io.discover` found.
        voxels: how many voxels of several volumes a part may hold; a volume is never cut.

    Returns:
        for each part ``{"case": number, "volumes": Chunk(start, stop, total)}``, in order and those of one case after
        one another, as ``LoadVolumed`` and ``SaveVolumed`` take them.
    """
    items = []
    for number, case in enumerate(cases):
        count, volume = _series(case)
        step = max(voxels // volume, 1)
        for start in range(0, count, step):
            items.append({"case": number, "volumes": Chunk(start, min(start + step, count), count)})
    return items


def chunk_of(item: Mapping[Hashable, Any]) -> Chunk:
    """The volumes of an item, also after it was in a batch; without ``volumes``, all of the case."""
    return Chunk(*(int(number) for number in item.get("volumes") or (0, 1, 1)))


def _series(case: Case) -> tuple[int, int]:
    """How many volumes a case has, and their voxels; (1, 1) where it is read as a whole or cannot be read."""
    if case.kind != "nifti":
        return 1, 1
    from mri_denoise.io.nifti.image import shape_of

    try:
        shape = shape_of(case)
    except InputError:  # whoever reads it will say why
        return 1, 1
    return shape[3], math.prod(shape[:3])


def collate_one(batch: Sequence[Mapping[Hashable, Any]]) -> dict[Hashable, Any]:
    """A batch of one item that shares its tensors' memory, where MONAI's ``list_data_collate`` would copy them.

    Args:
        batch: exactly one item.

    Raises:
        ValueError: for several items.
    """
    if len(batch) != 1:
        raise ValueError(f"images are denoised one at a time, got a batch of {len(batch)}.")
    tensors = {key: value for key, value in batch[0].items() if isinstance(value, torch.Tensor)}
    out = dict(list_data_collate([{key: value for key, value in batch[0].items() if key not in tensors}]))
    for key, value in tensors.items():
        if not isinstance(value, MetaTensor):
            out[key] = value[None]
            continue
        whole = MetaTensor(value.as_tensor()[None])
        whole.meta = default_collate([value.meta])
        whole.applied_operations = [value.applied_operations]
        whole.is_batch = True
        out[key] = whole
    return out
