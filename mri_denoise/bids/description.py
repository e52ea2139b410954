"""What a data set of results says of itself: its description, a README, and a sentence to cite."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

from mri_denoise import __version__
from mri_denoise.bids.dataset import DESCRIPTION, SOFTWARE, Dataset, makers
from mri_denoise.bids.files import as_json, read_json, write_if_new
from mri_denoise.bids.layout import LOGS, Kind
from mri_denoise.bundles.registry import Model
from mri_denoise.errors import InputError, OutputError
from mri_denoise.io.files import reading
from mri_denoise.settings import Settings

BIDS_VERSION = "1.10.0"
_PAPER = (
    "Umair M, Hamid K. Preserving Critical Signals in Magnetic Image Denoising: A Deep Learning Approach with "
    "Selective Feature Preservation. 2025."
)


def check_output(dataset: Dataset, output: Path, kind: Kind) -> None:
    """Make sure that results may go into a folder.

    Raises:
        OutputError: if it lies inside the raw data (but for ``derivatives/``) or is the raw data, or holds files that
            are not results of this kind.
    """
    inside, raw = output.resolve(), dataset.root.resolve()
    if inside == raw:
        raise OutputError(f"{output}: is the input; choose another output, raw data are never written into")
    if inside.is_relative_to(raw) and inside.relative_to(raw).parts[0] != "derivatives":
        better = dataset.root / "derivatives" / SOFTWARE
        raise OutputError(f"{output}: lies inside the raw data; choose {better} or a folder elsewhere")
    if inside == raw / "derivatives":
        raise OutputError(f"{output}: holds a folder for each pipeline; choose {output / SOFTWARE}")
    if not output.exists():
        return
    if not output.is_dir():
        raise OutputError(f"{output}: is a file, but results need a folder")
    with reading(output):
        held = [entry.name for entry in output.iterdir() if not entry.name.startswith(".")]
    if not held:
        return
    if DESCRIPTION not in held:
        raise OutputError(f"{output}: holds files that are no results of {SOFTWARE}; choose another folder")
    there = _described(output)
    if SOFTWARE not in makers(there):
        raise OutputError(f"{output}: holds another pipeline's results; choose another folder")
    if there.get("DatasetType") != kind:
        other = there.get("DatasetType")
        hint = f"give --output-layout {other}, or choose another folder"
        raise OutputError(f"{output}: holds results in the {other} layout, not {kind}; {hint}")


def describe(
    dataset: Dataset, output: Path, kind: Kind, model: Model, settings: Settings, options: Collection[str]
) -> None:
    """Write or renew what the output says of itself; fields that others added to its description are kept.

    Args:
        dataset: the raw data.
        output: the folder of the results.
        kind: how they are laid out.
        model: that denoised.
        settings: of the run.
        options: what the model lets a user choose.

    Raises:
        OutputError: if it cannot be written.
    """
    write_if_new(output / DESCRIPTION, as_json(_description(dataset, output, kind, model)))
    write_if_new(output / LOGS / "CITATION.md", f"{boilerplate(model, settings, options)}\n\n{_PAPER}\n".encode())
    if kind == "raw":
        _copy_participants(dataset, output)
    readme = output / "README.md"
    if not readme.exists() and not (output / "README").exists():
        write_if_new(readme, _readme(kind).encode())


def boilerplate(model: Model, settings: Settings, options: Collection[str]) -> str:
    """The sentence for a methods section.

    Args:
        model: that denoised.
        settings: of the run.
        options: what the model lets a user choose; the noise level is not among it where the model does without.
    """
    levels = {
        "auto": "estimated from each volume",
        "local": "estimated at each voxel",
        "map": "given as a map",
        "level": f"given as {settings.sigma}",
    }
    level = f"; the noise level was {levels[settings.sigma.kind]}" if "sigma" in options else ""
    blend = "" if settings.strength == 1 else f" (strength {settings.strength:g})"
    return (
        f"Images were denoised{blend} with mri-denoise {__version__}, model {model.name} {model.version} (SHA-256 of "
        f"the weights {model.weights_sha256[:16]}), whose network is after HMAD-Net [Umair and Hamid, 2025]{level}."
    )


def _described(output: Path) -> dict[str, Any]:
    try:
        return read_json(output / DESCRIPTION)
    except InputError as error:
        raise OutputError(f"{error}; it should describe earlier results") from error


def _description(dataset: Dataset, output: Path, kind: Kind, model: Model) -> dict[str, Any]:
    """The content of ``dataset_description.json``."""
    link = _link(dataset.root, output)
    source = {"DOI": dataset.description["DatasetDOI"]} if dataset.description.get("DatasetDOI") else {"URL": link}
    here = _described(output) if (output / DESCRIPTION).exists() else {}
    title = dataset.description.get("Name") or dataset.root.resolve().name
    licence = dataset.description.get("License")
    return {
        "Name": f"{title}: denoised",
        "BIDSVersion": BIDS_VERSION,
        **({"License": licence} if licence else {}),
        **here,
        "DatasetType": kind,
        "GeneratedBy": [
            {"Name": SOFTWARE, "Version": __version__, "Description": "Denoising of magnitude images"},
            {
                "Name": model.name,
                "Version": model.version,
                "Description": f"Model of mri-denoise, SHA-256 of its weights: {model.weights_sha256}",
            },
        ],
        "SourceDatasets": [source],
        "DatasetLinks": {"raw": link},
    }


def _link(raw: Path, output: Path) -> str:
    """The raw data set as seen from the results: a relative path, so that both may be moved together."""
    try:
        return Path(os.path.relpath(raw.resolve(), output.resolve())).as_posix()
    except ValueError:  # another drive
        return raw.resolve().as_uri()


def _copy_participants(dataset: Dataset, output: Path) -> None:
    """The table of participants, which pipelines read from raw data."""
    for name in ("participants.tsv", "participants.json"):
        source = dataset.root / name
        if source.is_file():
            with reading(source):
                content = source.read_bytes()
            write_if_new(output / name, content)


def _readme(kind: Kind) -> str:
    image = "`_desc-denoised_`" if kind == "derivative" else "`_rec-denoised_`"
    return (
        f"# Denoised images\n\nImages named {image} are those of the source data set with less noise, in the same "
        "space and type. Each has a JSON file that says what it comes from and how.\nThe run records are in `logs/`, "
        "and so is a sentence for a methods section, `CITATION.md`.\n"
    )
