"""The two ends of a bundle's chains for ``python -m monai.bundle run``: files to items, and items to files.

:class:`mri_denoise.denoiser.Denoiser` does without them: there, the pipeline reads and writes.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigParser
from monai.config import KeysCollection
from monai.data import MetaTensor, list_data_collate
from monai.transforms import MapTransform
from torch.utils.data import default_collate

from mri_denoise.bundles.item import found_in, item_of
from mri_denoise.bundles.registry import Model
from mri_denoise.denoiser import Denoised
from mri_denoise.errors import InputError, OutputError, printable
from mri_denoise.io.case import Case
from mri_denoise.io.chunks import Chunk
from mri_denoise.io.discover import discover
from mri_denoise.io.reading import chunks_of, read
from mri_denoise.pipeline.files import planned_files, record_path, sweep_results
from mri_denoise.pipeline.result import Output, ResultWriter
from mri_denoise.pipeline.source import read_chunks
from mri_denoise.settings import Extra
from mri_denoise.volume import Volume

_OWN = "own_path"  # of an item that brings its own image; a text, which goes into a batch and out of it


def find_cases(folder: str | Path) -> list[Case]:
    """The cases of a folder or a file, as :func:`mri_denoise.io.discover` finds them; none if it does not exist.

    A program that brings its own images parses a bundle's config without a folder of images. A file that cannot be read
    is named on standard error.

    Args:
        folder: what the config names as ``dataset_dir``.
    """
    if not Path(folder).exists():
        return []
    cases, skips = discover(Path(folder))
    for skip in skips:
        if skip.damaged:
            print(printable(f"failed {skip.source}: {skip.reason}"), file=sys.stderr)
    return cases


def find_bundle_root() -> str:
    """The root of the bundle whose config ``python -m monai.bundle`` was given, so that it runs from any folder.

    Returns:
        the folder above the ``configs`` of ``--config_file``, also where ``--args_file`` names it; ``"."`` for other
        programs.
    """
    named: Any = _option("config_file")
    if not named and Path(listed := _option("args_file")).is_file():
        named = ConfigParser.load_config_file(listed).get("config_file", "")
    first = re.sub(r"[\[\]'\"]", "", str(named)).split(",")[0].strip()
    root = Path(first).parent.parent
    return str(root) if first and (root / "configs").is_dir() else "."


def _option(name: str) -> str:
    """An option of the command line, as MONAI's takes it (``--config_file F``, ``--config-file=F``); empty without."""
    words = [part for word in sys.argv[1:] for part in word.split("=", 1)]
    pairs = zip(words, words[1:], strict=False)
    return next((value for option, value in pairs if option.lstrip("-").replace("-", "_") == name), "")


def chunk_items(cases: Sequence[Case]) -> list[dict[str, Any]]:
    """The items of a dataset: one a case, several for a series too long to be in memory at once.

    Args:
        cases: what :func:`mri_denoise.io.discover` found.

    Returns:
        for each chunk ``{"case": number, "volumes": (start, stop, total)}``, in order and those of one case after
        one another, as :class:`LoadVolumed` and :class:`SaveVolumed` take them.

    Raises:
        InputError: if there is no case.
    """
    if not cases:
        raise InputError("no image to denoise; name the folder of the images by --dataset_dir.")
    return [{"case": number, "volumes": tuple(chunk)} for number, case in enumerate(cases) for chunk in chunks_of(case)]


class LoadVolumed(MapTransform):
    """Read the volumes that an item names.

    The item ``{"case": i, "volumes": chunk}`` (:func:`chunk_items`) gets, under each key, a MetaTensor of shape
    (T, X, Y, Z) in the file's units with its affine, NaN and infinity replaced (the writer puts them back); under
    ``raw`` the same tensor, which no later transform changes; and ``slice_axis``, ``contiguous``, ``picture`` and,
    where the file defines one, ``white_level``. Without ``volumes`` it gets all of the case. A file stays open from its
    first chunk to its last.

    An item without ``case`` brings its own image under each key: the path of a file or a DICOM folder, or an array
    or tensor of shape (X, Y, Z) or (T, X, Y, Z), whose affine is the identity unless it is a MetaTensor.

    Args:
        keys: where the image goes.
        cases: what :func:`mri_denoise.io.discover` found.
    """

    def __init__(self, keys: KeysCollection, cases: Sequence[Case]) -> None:
        super().__init__(keys)
        self.cases = cases
        self._chunks: Iterator[tuple[Chunk, Volume]] | None = None

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Read."""
        d = dict(data)
        d["started"] = time.monotonic()
        if "case" not in d:
            for key in self.keys:
                item = item_of(_own_volume(d, d[key]))
                d.update(item)
                d[key] = item["image"]
            return d
        if self._chunks is None or _chunk_of(d).first:
            self._chunks = read_chunks(self.cases[int(d["case"])])
        chunk, volume = next(self._chunks)
        if chunk.last:
            self._chunks = None
        item = item_of(volume)
        d.update(item)
        d.update(dict.fromkeys(self.keys, item["image"]))
        return d


class SaveVolumed(MapTransform):
    """Write the denoised image with its source's headers, and a run record beside it.

    Results of runs before are replaced, other files are not. A series that comes in chunks is written as they come; its
    files are in their place after the last one. The item's ``sigma`` goes into the record and the noise map, ``raw``
    (the image as it was read) into the residual. An image that a program brought as an array belongs to no file: it is
    left as it is.

    Args:
        keys: the denoised image of shape (T, X, Y, Z) in the file's units.
        cases: what :func:`mri_denoise.io.discover` found.
        output_dir: where ``Case.output`` goes.
        model: name and version of the bundle, and SHA-256 of its weights: ``{"name", "version", "weights_sha256"}``.
        settings: everything else that shapes the result, for the record and for DICOM's identifiers.
        extras: which companions to write; see :class:`mri_denoise.pipeline.result.Output`.
        keep_vendor_headers: keep private DICOM blocks that describe the old pixels (Siemens CSA).

    Raises:
        OutputError: when it is called, if the files cannot be written, or one of them exists that no run made.
    """

    def __init__(
        self,
        keys: KeysCollection,
        cases: Sequence[Case],
        output_dir: str | Path,
        model: Mapping[str, str],
        settings: Mapping[str, Any] | None = None,
        extras: Sequence[Extra] = (),
        keep_vendor_headers: bool = False,
    ) -> None:
        super().__init__(keys)
        self.cases, self.settings = cases, dict(settings or {})
        self.output = Output(
            folder=Path(output_dir),
            model=Model(**model),
            extras=extras,
            keep_vendor_headers=keep_vendor_headers,
            overwrite=True,  # what a run before made, as MONAI's SaveImage
        )
        self._writer: ResultWriter | None = None
        self._seconds = 0.0

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Write; the item, of a series in chunks the last one, gets the record under ``record``."""
        d = dict(data)
        chunk = _chunk_of(d)
        if "case" not in d and _OWN not in d:
            return d
        case = self.cases[int(d["case"])] if "case" in d else _only_case(d[_OWN])
        if chunk.first or self._writer is None:
            if self._writer is not None:
                self._writer.abandon()
            self._refuse_foreign(case)
            self._writer, self._seconds = ResultWriter(case, self.output), 0.0
        self._writer.put(self._denoised(d), chunk)
        if d.get("started") is not None:
            self._seconds += time.monotonic() - float(d["started"])
        if chunk.last:
            d["record"] = self._writer.finish(self._seconds)
            self._writer = None
        return d

    def _refuse_foreign(self, case: Case) -> None:
        """Only results are replaced, which have a record beside them."""
        sweep_results([case], self.output.folder)
        planned = planned_files(case, self.output.folder, self.output.extras)
        inputs = {source.resolve() for source in case.sources}  # have a message of their own
        there = next((path for path in planned if path.exists() and path.resolve() not in inputs), None)
        if there is not None and not record_path(case, self.output.folder).exists():
            raise OutputError(f"{there}: exists and is no result of mri-denoise; move it, or name another output_dir.")

    def _denoised(self, d: Mapping[Hashable, Any]) -> Denoised:
        result = d[self.keys[0]]
        geometry = result if isinstance(result, MetaTensor) else d["raw"]
        volume = Volume(
            array=np.asarray(result),
            affine=np.asarray(geometry.affine, dtype=np.float64).reshape(-1, 4, 4)[0],
            picture=bool(d.get("picture", False)),
        )
        return Denoised(
            volume=volume,
            raw=np.asarray(d["raw"]),
            **found_in(d, torch.as_tensor(result), torch.as_tensor(d["raw"])),
            uncertainty=None,
            settings=self.settings,
            device=result.device.type if isinstance(result, torch.Tensor) else "cpu",
        )


def _own_volume(item: dict[Hashable, Any], image: Any) -> Volume:
    """The image that an item brings; its path goes to the item if it is a file."""
    if isinstance(image, str | Path):
        item[_OWN] = str(image)
        return read(_only_case(image))
    affine = image.affine if isinstance(image, MetaTensor) else np.eye(4)
    array = np.asarray(image, dtype=np.float32)
    if array.ndim not in (3, 4):
        raise InputError(f"an array must have the shape (X, Y, Z) or (T, X, Y, Z), got {array.shape}.")
    return Volume(array=array[None] if array.ndim == 3 else array, affine=np.asarray(affine, dtype=np.float64))


def _only_case(path: str | Path) -> Case:
    """The one case of a file or a folder that an item names."""
    cases, _ = discover(Path(path))
    if len(cases) != 1:
        raise InputError(f"{path}: holds {len(cases)} images; name one.")
    return cases[0]


def _chunk_of(item: Mapping[Hashable, Any]) -> Chunk:
    """The volumes of an item, also after it was in a batch; without ``volumes``, all of the case."""
    return Chunk(*(int(number) for number in item.get("volumes") or (0, 1, 1)))


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
