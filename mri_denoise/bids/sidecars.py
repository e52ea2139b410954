"""The JSON files beside the images of a result: the source's metadata, and what was done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mri_denoise.bids.layout import Image
from mri_denoise.bids.scan import Scan

_WHAT: Mapping[Image, str] = {
    "denoised": "Denoised by mri-denoise.",
    "sigma": "Noise level at each voxel, in the unit of the source: the standard deviation of the noise in the real "
    "and in the imaginary channel.",
    "residual": "What denoising removed: source minus result.",
    "uncertainty": "Standard deviation of the result over the mirror images that were averaged, in the unit of the "
    "source.",
    "guard": "1 where something that was removed came back, because noise does not explain it; 0 elsewhere.",
}


def sidecar(
    what: Image, scan: Scan, metadata: Mapping[str, Any], record: Mapping[str, Any], *, skull_stripped: bool
) -> dict[str, Any]:
    """What the JSON file of an image says.

    Args:
        what: which image.
        scan: the source.
        metadata: of the source; carried over.
        record: the run record, as on disk.
        skull_stripped: whether the source has no skull, where its metadata do not say so.

    Returns:
        the source's fields, and ``SkullStripped`` (required of derivatives), ``Description``, ``Sources`` (a BIDS URI),
        ``Sigma`` (a number, or one for each volume, in the image's unit; absent where the model does not use it),
        ``SigmaOrigin``, ``Strength``, ``Model``, ``ModelVersion``, ``WeightsSHA256`` and ``Settings``.
    """
    settings, model = record["settings"], record["model"]
    before = metadata.get("Description")
    added: dict[str, Any] = {
        "Description": f"{_WHAT[what]} Source: {before}" if before else _WHAT[what],
        "Sources": [f"bids:raw:{scan.label}"],
        "SkullStripped": told if isinstance(told := metadata.get("SkullStripped"), bool) else skull_stripped,
    }
    sigma = record.get("sigma")
    if sigma is not None:
        added["Sigma"] = sigma[0] if len(sigma) == 1 else list(sigma)
        added["SigmaOrigin"] = "estimated" if settings.get("sigma") in ("auto", "map") else "given"
    added |= {
        "Strength": settings.get("strength"),
        "Model": model["name"],
        "ModelVersion": model["version"],
        "WeightsSHA256": model["weights_sha256"],
        "Settings": dict(settings),
    }
    return {**metadata, **added}
