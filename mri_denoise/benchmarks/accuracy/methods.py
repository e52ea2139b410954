"""The methods that ``benchmark accuracy`` compares: classical ones, the bundles, and DnCNN in their place."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from mri_denoise.benchmarks.baselines import Method, Slicing
from mri_denoise.benchmarks.baselines.learned import learned
from mri_denoise.benchmarks.methods import DNCNN_CITATION, Candidate, baseline_candidates
from mri_denoise.bundles.registry import SHORT_NAMES, Bundle
from mri_denoise.denoiser import Denoiser
from mri_denoise.settings import Planes

CLASSICAL = ("gaussian", "wiener", "median", "tv", "wavelet", "nlmeans", "ants", "bm3d", "bm4d")
OVERLAY = "dncnn.yaml"
AUTO = "-auto"


def candidates(bundles: Sequence[Bundle], device: str = "auto") -> list[Candidate]:
    """All methods for Rician noise.

    Args:
        bundles: ours. Each is compared as it is and, where its weights are there, with DnCNN as its network.
        device: for networks.

    Returns:
        the candidates in the order of the tables.
    """
    found = baseline_candidates(CLASSICAL)
    short = {folder: name for name, folder in SHORT_NAMES.items()}
    for number, bundle in enumerate(bundles):
        name = short.get(bundle.folder.name, bundle.folder.name)
        if bundle.config(OVERLAY).is_file():
            found.append(_dncnn(bundle, "dncnn" if number == 0 else f"dncnn-{name}", f"DnCNN ({name})", device))
        found.append(_hmad(bundle, name, f"HMAD-Net ({name})", device))
    return found


def _hmad(bundle: Bundle, name: str, label: str, device: str) -> Candidate:
    """Three planes and one, each with the true sigma and with the estimated one."""
    variants = {}
    for planes in _planes(bundle):
        variants[f"{name}-{planes}"] = words = _label(label, planes)
        if "sigma" in bundle.options:
            variants[f"{name}-{planes}{AUTO}"] = f"{words}, sigma estimated"

    @cache
    def model() -> Denoiser:
        return Denoiser(bundle, device=device)

    def load(variant: str) -> Method:
        auto, slicing = variant.endswith(AUTO), Slicing(planes=_planes_of(variant))
        return learned(model(), slicing, name=variant, label=variants[variant], estimates_sigma=auto)

    return Candidate(name=name, label=label, variants=variants, load=load)


def _dncnn(bundle: Bundle, name: str, label: str, device: str) -> Candidate:
    """DnCNN trained on the same data, with the true sigma."""
    variants = {f"{name}-{planes}": _label(label, planes) for planes in _planes(bundle)}

    @cache
    def model() -> Denoiser:
        return Denoiser(bundle, overlay=OVERLAY, device=device)

    def load(variant: str) -> Method:
        slicing = Slicing(planes=_planes_of(variant))
        return learned(model(), slicing, name=variant, label=variants[variant], citation=DNCNN_CITATION, ours=False)

    hint = f"has no weights that fit; train {bundle.name} with configs/{OVERLAY} on top"
    return Candidate(name=name, label=label, variants=variants, load=load, hint=hint, required=False)


def _planes(bundle: Bundle) -> tuple[Planes, ...]:
    return (3, 1) if "planes" in bundle.options else (1,)


def _planes_of(variant: str) -> Planes:
    """The planes of a variant by its name."""
    return 3 if variant.removesuffix(AUTO).endswith("-3") else 1


def _label(label: str, planes: Planes) -> str:
    return f"{label}, {planes} plane{'s' if planes == 3 else ''}"
