"""Where results go, and what they are called: as a derivative, or as a data set that others read like raw data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mri_denoise.bids.names import BidsName
from mri_denoise.bids.scan import Scan
from mri_denoise.io.case import Case

Kind = Literal["derivative", "raw"]
Image = Literal["denoised", "sigma", "residual", "uncertainty", "guard"]
LOGS = Path("logs")
# suffixes of `Case.companion`
_MAPS: dict[str, Image] = {
    "_residual": "residual",
    "_noise": "sigma",
    "_uncertainty": "uncertainty",
    "_guard": "guard",
}


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The names of results.

    Args:
        kind: ``"derivative"``: ``sub-01_desc-denoised_T1w.nii.gz`` in a data set of type derivative. ``"raw"``:
            ``sub-01_rec-denoised_T1w.nii.gz`` in one of type raw, which pipelines take in place of the source; maps
            have no place in it and lie under ``logs/``.

    Examples:
        >>> from mri_denoise.bids.names import parse
        >>> scan = Scan(path=Path("x"), folder=Path("sub-01/anat"), name=parse("sub-01_run-2_T1w.nii"))
        >>> Layout(kind="derivative").image(scan, "denoised").as_posix()
        'sub-01/anat/sub-01_run-2_desc-denoised_T1w.nii.gz'
        >>> Layout(kind="raw").image(scan, "denoised").as_posix()
        'sub-01/anat/sub-01_rec-denoised_run-2_T1w.nii.gz'
    """

    kind: Kind

    def image(self, scan: Scan, what: Image) -> Path:
        """Where an image of a scan's result lies, relative to the output folder.

        A label that ``desc`` has already stays part of it: ``desc-defaced`` beside the scan as it was, as tools that
        remove faces leave it, has a result of its own.
        """
        name = scan.name.called(scan.name.suffix, ".nii.gz")
        if self.kind == "derivative" or what != "denoised":
            folder = scan.folder if self.kind == "derivative" else LOGS / scan.folder
            return folder / str(name.with_entities(desc=f"{name.entities.get('desc', '')}{what}"))
        return scan.folder / str(self._renamed(name))

    def sidecar(self, scan: Scan, what: Image) -> Path:
        """The JSON file of an image."""
        image = self.image(scan, what)
        return image.with_name(image.name.removesuffix(".nii.gz") + ".json")

    def companion(self, scan: Scan, name: BidsName) -> Path:
        """Where a file that travels with a scan lies, such as its b-values.

        Args:
            scan: whose it is.
            name: what it is called beside the source.
        """
        return scan.folder / str(name if self.kind == "derivative" else self._renamed(name))

    def record(self, scan: Scan) -> Path:
        """The run record."""
        return LOGS / scan.folder / f"{scan.name.stem}.json"

    def case(self, scan: Scan) -> Case:
        """The scan as a case whose files go where this layout says."""
        maps = {suffix: self.image(scan, what) for suffix, what in _MAPS.items()}
        logs = LOGS / scan.folder
        pages = {"_figure": logs / f"{scan.name.stem}.png", "_report": logs / f"{scan.name.stem}_report.html"}
        return Case(
            kind="nifti",
            sources=(scan.path,),
            output=self.image(scan, "denoised"),
            label=scan.label,
            companions={**maps, **pages, "": self.record(scan)},
        )

    @staticmethod
    def _renamed(name: BidsName) -> BidsName:
        """With the label of `rec` that tells it from the source; one that is there already stays part of it."""
        return name.with_entities(rec=f"{name.entities.get('rec', '')}denoised")
