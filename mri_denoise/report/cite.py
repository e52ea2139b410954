"""How to cite a run, in words for a paper."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mri_denoise.record import RunRecord

SOFTWARE = "mri-denoise: denoise magnetic resonance images with HMAD-Net as MONAI bundles"
PAPER = (
    "Preserving Critical Signals in Magnetic Image Denoising: "
    "A Deep Learning Approach with Selective Feature Preservation"
)


@dataclass(frozen=True, kw_only=True)
class Citation:
    """What a paper says.

    Args:
        sentence: for the methods section.
        references: that it points to.
    """

    sentence: str
    references: Sequence[str]


def cite(record: RunRecord) -> Citation:
    """The sentence and the references of a run.

    Args:
        record: of the run.
    """
    version = record.versions.get("mri-denoise", "")
    chosen = ", ".join(
        f"{name} {without_folders(record.settings[name])}" for name in ("sigma", "strength") if name in record.settings
    )
    settings = f"; {chosen}" if chosen else ""
    model = f"model {record.model.name} {record.model.version}, weights {record.model.weights_sha256[:12]}{settings}"
    sentence = (
        f"Images were denoised with mri-denoise {version} ({model}) [1], whose network is after HMAD-Net [2]; "
        "the originals were kept."
    )
    software = f"mri-denoise developers. {SOFTWARE}. Version {version}. Apache-2.0."
    return Citation(sentence=sentence, references=[software, f"Umair M, Hamid K. {PAPER}. 2025."])


def without_folders(value: object) -> str:
    """A setting for a reader; of the path of a noise map only the name, since folders may name people.

    Examples:
        >>> without_folders("study/Jane/map.nii.gz"), without_folders(1.0)
        ('map.nii.gz', '1.0')
    """
    return re.split(r"[/\\]", str(value))[-1]
