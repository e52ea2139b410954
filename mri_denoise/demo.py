"""The demonstration: real images from installed libraries, and a head phantom whose truth is known."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np

from mri_denoise.bundles.registry import find_bundle
from mri_denoise.errors import InputError
from mri_denoise.evaluation.compare import Comparison, compare_cases
from mri_denoise.io import discover
from mri_denoise.io.files import writing
from mri_denoise.pipeline.batch import denoise_cases
from mri_denoise.settings import Settings
from mri_denoise.simulation import head_phantom, phantom_affine, write_phantom_dicom, write_phantom_nifti
from mri_denoise.simulation.noisy_copies import NoiseParameters, simulate_case
from mri_denoise.volume import voxel_sizes

LEVEL = 5.0
SERIES_SHAPE = (160, 192, 24)
PARTS = ("input", "truth", "denoised")
"""The folders that it makes."""


@dataclass(frozen=True, kw_only=True)
class Item:
    """One image of the demonstration.

    Args:
        name: what it is.
        source: the input, a file or a folder.
        truth: the image without noise, where it is known.
        model: short name of the model.
    """

    name: str
    source: Path
    truth: Path | None = None
    model: str = "rician"


@dataclass(frozen=True, kw_only=True)
class Row:
    """What became of one image.

    Args:
        name: what it is.
        seconds: what reading, denoising and writing took.
        outputs: the files of the result.
        figure: the picture of input, result and residual.
        before: scores of the input, where the truth is known.
        after: scores of the result, where the truth is known.
    """

    name: str
    seconds: float
    outputs: Sequence[str]
    figure: str
    before: Comparison | None = None
    after: Comparison | None = None


def run_demo(output: Path) -> list[Row]:
    """Make the inputs, denoise them and score those whose truth is known.

    Args:
        output: folder; ``input``, ``truth`` and ``denoised`` are made inside.

    Returns:
        one row an image.

    Raises:
        InputError: if something cannot be written or denoised.
    """
    with writing(output):
        output.mkdir(parents=True, exist_ok=True)
        items = [*_real(output), *_phantoms(output)]
    return [_run(item, output) for item in items]


def holds_others(output: Path) -> bool:
    """Whether a folder holds what no demo has made there, and might replace."""
    return output.is_dir() and any(path.name not in PARTS for path in output.iterdir())


def _real(output: Path) -> list[Item]:
    """Images that pydicom and nibabel carry in their wheels."""
    found = []
    for package, path, name in (
        ("pydicom", ("data", "test_files", "MR_small.dcm"), "MR_small.dcm (pydicom), a DICOM slice"),
        ("nibabel", ("tests", "data", "example4d.nii.gz"), "example4d.nii.gz (nibabel), two volumes"),
    ):
        resource = files(package).joinpath(*path)
        target = output / "input" / path[-1]
        target.parent.mkdir(parents=True, exist_ok=True)
        with as_file(resource) as source:
            shutil.copyfile(source, target)
        found.append(Item(name=name, source=target))
    return found


def _phantoms(output: Path) -> list[Item]:
    """A head phantom as NIfTI and as a DICOM series with Rician noise, and a slice of it with salt and pepper."""
    truth, noisy = output / "truth", output / "input"
    truth.mkdir(exist_ok=True)
    volume = head_phantom(contrast="T1w")
    nifti = truth / "phantom_T1w.nii.gz"
    write_phantom_nifti(nifti, volume, _voxel(volume))
    thick = head_phantom(shape=SERIES_SHAPE, contrast="T2w")
    series = truth / "phantom_T2w"
    shutil.rmtree(series, ignore_errors=True)
    write_phantom_dicom(series, thick, _voxel(thick))
    picture = truth / "phantom_slice.png"
    _write_png(thick[:, :, SERIES_SHAPE[2] // 2], picture)
    items = []
    rician, impulses = NoiseParameters(level=LEVEL), NoiseParameters(noise="salt-pepper", level=20.0)
    for path, name, noise, model in (
        (nifti, f"phantom T1w, NIfTI, Rician {LEVEL:g} %", rician, "rician"),
        (series, f"phantom T2w, DICOM series, Rician {LEVEL:g} %", rician, "rician"),
        (picture, "phantom slice, PNG, salt and pepper 20 %", impulses, "salt-pepper"),
    ):
        case = discover(path)[0][0]
        if case.picture:
            case = dataclasses.replace(case, output=Path(path.name))
        first = Path(simulate_case(case, noisy, noise).outputs[0])
        source = first.parent if path.is_dir() else first
        items.append(Item(name=name, source=source, truth=path, model=model))
    return items


def _run(item: Item, output: Path) -> Row:
    """Denoise one image with its picture, and score it."""
    cases, _ = discover(item.source)
    folder = output / "denoised"
    settings = Settings(extras=("residual", "figure"), overwrite=True)
    [outcome] = denoise_cases(find_bundle(item.model), cases, folder, settings)
    if outcome.record is None:
        raise InputError(outcome.error)
    record = outcome.record
    row = Row(
        name=item.name,
        seconds=record.seconds,
        outputs=record.outputs,
        figure=next(path for path in record.companions if path.endswith(".png")),
    )
    if item.truth is None:
        return row
    truth = discover(item.truth)[0][0]
    first = Path(record.outputs[0])
    result = discover(first.parent if item.truth.is_dir() else first)[0][0]
    return dataclasses.replace(row, before=compare_cases(truth, cases[0]), after=compare_cases(truth, result))


def _voxel(phantom: np.ndarray) -> tuple[float, float, float]:
    """Edges of the phantom's voxels in mm."""
    x, y, z = voxel_sizes(phantom_affine(phantom.shape))
    return float(x), float(y), float(z)


def _write_png(image: np.ndarray, path: Path) -> None:
    """An 8-bit picture of a slice on the scale [0, 1], the patient's front up."""
    from PIL import Image

    Image.fromarray(np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8).T[::-1]).save(path)
