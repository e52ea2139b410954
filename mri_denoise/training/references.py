"""Make cleaner references for training: denoise the training volumes themselves with the weights at hand.

A noisy reference teaches a network to keep noise as if it were texture. Denoised once, at somewhat more than their own
noise level, the same volumes show edges without noise. Training mixes both kinds, so that texture is not lost.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import nibabel as nib
import numpy as np

from mri_denoise.bundles.registry import Bundle
from mri_denoise.denoiser import Denoiser
from mri_denoise.errors import InputError
from mri_denoise.io import discover, read
from mri_denoise.io.files import write_beside
from mri_denoise.noise.model import find_noise
from mri_denoise.pipeline.stream import denoise_case
from mri_denoise.settings import Settings, Sigma
from mri_denoise.training.scans import DATALIST
from mri_denoise.volume import slice_axis_of

FOLDER = "references"
FACTOR, WEIGHT = 1.5, 3.0


def add_references(
    dataset: Path,
    bundle: Bundle,
    factor: float = FACTOR,
    weight: float = WEIGHT,
    on_volume: Callable[[str, float], None] = lambda image, sigma: None,
) -> int:
    """Denoise each training volume of a data set and add the result to its datalist.

    The results go to ``references/`` in the data set, in the tree of the volumes. Results that exist are kept, so that
    an interrupted run can go on. The datalist then has the volumes with weight 1 and the references with ``weight``.

    Args:
        dataset: folder with ``datalist.json``, as ``mri-denoise data prepare`` makes it.
        bundle: the model that denoises.
        factor: times the estimated noise level is the level that the model is given; above 1, because estimates miss
            the part of the noise that interpolation has smoothed.
        weight: how often a reference is drawn for each draw of an original volume.
        on_volume: called after each volume with its name in the datalist and the noise level that the model was given.

    Returns:
        the number of references.

    Raises:
        InputError: if there is no usable datalist, or a volume cannot be read or denoised.
    """
    listed = dataset / DATALIST
    try:
        lists = json.loads(listed.read_text(encoding="utf-8"))
        images = [e for e in lists["training"] if not e["image"].startswith(f"{FOLDER}/")]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{listed}: not a datalist with a list 'training'; run mri-denoise data prepare.") from error
    references = []
    denoiser: Denoiser | None = None  # loaded if there is something to do
    for entry in images:
        target = Path(FOLDER) / Path(entry["image"]).relative_to(Path(entry["image"]).parts[0])
        if not (dataset / target).exists():
            denoiser = denoiser or Denoiser(bundle)
            on_volume(entry["image"], make_reference(dataset / entry["image"], dataset / target, denoiser, factor))
        references.append({**entry, "image": target.as_posix(), "weight": weight})
    lists["training"] = [{**entry, "weight": 1.0} for entry in images] + references
    with write_beside(listed) as temporary:
        temporary.write_text(json.dumps(lists, indent=2) + "\n", encoding="utf-8")
    return len(references)


def make_reference(source: Path, target: Path, denoiser: Denoiser, factor: float = FACTOR) -> float:
    """Denoise one volume, by a map of the level where that is uneven.

    Args:
        source: a file with one volume.
        target: the result.
        denoiser: the model.
        factor: times the estimated noise level is the level that the model is given.

    Returns:
        that level, the median of a map, in the file's unit.

    Raises:
        InputError: if the file cannot be read, does not hold one volume, or the result cannot be written.
    """
    cases, skips = discover(source)
    if len(cases) != 1:
        raise InputError(f"{source}: {skips[0].reason if skips else 'not one volume'}.")
    volume = read(cases[0])
    found = find_noise(volume.array[0], slice_axis=slice_axis_of(volume))
    case = replace(cases[0], output=Path(target.name))
    with TemporaryDirectory() as folder:
        level = Sigma(kind="level", level=factor * found.level)
        if found.sigma.ndim:
            # by one level the middle of a head would keep noise, where parallel imaging makes it strong
            path = Path(folder) / "sigma.nii"
            nib.save(nib.Nifti1Image(np.float32(factor) * found.sigma, volume.affine), path)
            level = Sigma(kind="map", path=path)
        denoise_case(denoiser, case, target.parent, Settings(sigma=level, overwrite=True))
    return factor * found.level
