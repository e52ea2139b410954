"""The methods that ``benchmark accuracy`` compares: classical ones, the bundles, and DnCNN in their place."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from mri_denoise.benchmarks.baselines import Method, Slicing
from mri_denoise.benchmarks.baselines.learned import learned
from mri_denoise.benchmarks.methods import DNCNN_CITATION, Candidate, baseline_candidates
from mri_denoise.bundles.registry import SHORT_NAMES, Bundle
from mri_denoise.denoiser import Denoiser
from mri_denoise.settings import QUALITIES, Quality

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
    """Each quality with the true sigma and with the estimated one."""
    variants = {}
    for quality in _qualities(bundle):
        variants[f"{name}-{quality}"] = words = f"{label}, {quality}"
        if "sigma" in bundle.options:
            variants[f"{name}-{quality}{AUTO}"] = f"{words}, sigma estimated"

    @cache
    def model() -> Denoiser:
        return Denoiser(bundle, device=device)

    def load(variant: str) -> Method:
        auto, slicing = variant.endswith(AUTO), Slicing(quality=_quality_of(variant))
        return learned(model(), slicing, name=variant, label=variants[variant], estimates_sigma=auto)

    return Candidate(name=name, label=label, variants=variants, load=load)


def _dncnn(bundle: Bundle, name: str, label: str, device: str) -> Candidate:
    """DnCNN trained on the same data, with the true sigma."""
    variants = {f"{name}-{quality}": f"{label}, {quality}" for quality in _qualities(bundle)}

    @cache
    def model() -> Denoiser:
        return Denoiser(bundle, overlay=OVERLAY, device=device)

    def load(variant: str) -> Method:
        slicing = Slicing(quality=_quality_of(variant))
        return learned(model(), slicing, name=variant, label=variants[variant], citation=DNCNN_CITATION, ours=False)

    hint = f"has no weights that fit; train {bundle.name} with configs/{OVERLAY} on top"
    return Candidate(name=name, label=label, variants=variants, load=load, hint=hint, required=False)


def _qualities(bundle: Bundle) -> tuple[Quality, ...]:
    """The default, the better one and the faster one."""
    return ("balanced", "best", "fast") if "quality" in bundle.options else ("balanced",)


def _quality_of(variant: str) -> Quality:
    """The quality of a variant by its name."""
    name = variant.removesuffix(AUTO).rsplit("-", 1)[-1]
    return next(quality for quality in QUALITIES if quality == name)
