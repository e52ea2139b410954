"""The methods that ``benchmark safety`` compares: ours with and without the guard, and classical ones."""

from __future__ import annotations

from functools import cache

from mri_denoise.benchmarks.baselines import Method, Slicing
from mri_denoise.benchmarks.baselines.learned import learned
from mri_denoise.benchmarks.methods import Candidate, baseline_candidates
from mri_denoise.bundles.registry import SHORT_NAMES, Bundle
from mri_denoise.denoiser import Denoiser
from mri_denoise.settings import DEFAULTS, Quality

CLASSICAL = ("gaussian", "nlmeans", "bm4d")
UNGUARDED = "-unguarded"


def candidates(bundle: Bundle, device: str = "auto", quality: Quality = DEFAULTS.quality) -> list[Candidate]:
    """All methods; the noisy image itself, which is doing nothing, comes first.

    Args:
        bundle: ours.
        device: for the network.
        quality: of ours.

    Returns:
        the candidates in the order of the tables.
    """
    short = {folder: name for name, folder in SHORT_NAMES.items()}
    name = short.get(bundle.folder.name, bundle.folder.name)
    variants = {name: f"Ours ({name})"}
    if "guard" in bundle.options:
        variants[name + UNGUARDED] = f"Ours ({name}), no guard"

    @cache
    def model() -> Denoiser:
        return Denoiser(bundle, device=device)

    def load(variant: str) -> Method:
        guard, slicing = not variant.endswith(UNGUARDED), Slicing(quality=quality)
        return learned(model(), slicing, name=variant, label=variants[variant], guard=guard)

    ours = Candidate(name=name, label=variants[name], variants=variants, load=load)
    return [*baseline_candidates(CLASSICAL), ours]
