"""What the name of a file says about it in the Brain Imaging Data Structure (BIDS 1.10, https://bids.neuroimaging.io)."""

from __future__ import annotations

from pathlib import Path

_LABELS = {"mask", "dseg", "probseg", "defacemask"}
_NO_MRI = {"pet", "PET", "ct", "CT", "uCT"}
_SPECTRA = {"svs", "mrsi", "unloc", "mrsref"}
_PHASES = {"phase", "phase1", "phase2", "phasediff", "fieldmap"}
# appendix "Quantitative MRI", ratio images whose noise is not Rician, what scanners compute of diffusion (1.11), and
# what programs that write derivatives compute
_MAPS = {
    *("T1map", "T2map", "T2starmap", "T1rho", "R1map", "R2map", "R2starmap", "PDmap", "PDT2map", "MTRmap", "MTsat"),
    *("MTVmap", "MWFmap", "Chimap", "S0map", "M0map", "TB1map", "RB1map", "UNIT1"),
    *("ADC", "expADC", "FA", "colFA", "trace"),
    *("dwimap", "boldmap", "statmap", "cbf", "att", "xfm"),
}
_PARTS = {"part-phase", "part-real", "part-imag"}


def not_magnitude(path: Path) -> str:
    """Say why an image is not a magnitude image, by its suffix or its entity ``part``.

    Args:
        path: of the image; only the name counts.

    Returns:
        The reason in a few words; empty if the name does not say so.

    Examples:
        >>> not_magnitude(Path("sub-01_dseg.nii.gz"))
        'labels, by its name (_dseg)'
        >>> not_magnitude(Path("sub-01_T1w.nii.gz"))
        ''
    """
    words = path.name.split(".")[0].split("_")
    if len(words) < 2:
        return ""
    if words[-1] in _LABELS:
        return f"labels, by its name (_{words[-1]})"
    if words[-1] in _PHASES:
        return f"phase or field map, by its name (_{words[-1]})"
    if words[-1] in _NO_MRI:
        return f"PET or CT and no MR image, by its name (_{words[-1]})"
    if words[-1] in _SPECTRA:
        return f"spectroscopy and no image, by its name (_{words[-1]})"
    if words[-1] in _MAPS:
        return f"a map and no magnitude image, by its name (_{words[-1]})"
    part = next((word for word in words if word in _PARTS), None)
    return f"no magnitude image, by its name ({part})" if part else ""
