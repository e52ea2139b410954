"""The methods of a benchmark: the noisy image itself, the classical ones, ours and its learned rival."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from mri_denoise.benchmarks.baselines import BASELINES, Denoiser
from mri_denoise.benchmarks.baselines.learned import Slicing, learned
from mri_denoise.benchmarks.references import Truth
from mri_denoise.bundles.registry import SHORT_NAMES, Bundle
from mri_denoise.denoiser import Denoiser as LearnedModel
from mri_denoise.errors import InputError

OVERLAY = "dncnn.yaml"
DNCNN = "Zhang et al., IEEE TIP 26(7), 3142-3155, 2017, doi:10.1109/TIP.2017.2662206; trained here on the same data"
OURS = "this package"
NOISY = Denoiser("noisy", "Noisy", "", ("rician",), lambda image, sigma: image, uses_sigma=False)


@dataclass(frozen=True)
class Method:
    """A line of the tables.

    Args:
        name: as on the command line.
        label: as in tables.
        ours: whether it is what the benchmark is about, or a rival.
        denoiser: the classical method, or None for a network.
        model: the network.
        planes: 1, or 3 where voxels are nearly isotropic (else 1, as the command ``denoise`` does).
        sigma_given: whether it is given the true noise level, or has to estimate it.
    """

    name: str
    label: str
    ours: bool = False
    denoiser: Denoiser | None = None
    model: LearnedModel | None = None
    planes: int = 1
    sigma_given: bool = True

    def prepared(self, truth: Truth) -> Denoiser:
        """The denoiser for volumes that are cut like this one, with its package imported."""
        if self.model is None:
            assert self.denoiser is not None
            if self.denoiser.package is not None:
                import_module(self.denoiser.package)
            return dataclasses.replace(self.denoiser, slice_axis=truth.slice_axis)
        slicing = Slicing(self._planes(truth), truth.slice_axis, tuple(truth.affine.ravel()))
        return learned(self.model, slicing, name=self.name, label=self.label)

    def identity(self, truth: Truth) -> dict[str, Any]:
        """All that its result depends on beside the image."""
        made_by = self.prepared(truth).implementation()
        if self.model is None:
            return {"method": self.name, "made_by": made_by}
        return {
            "method": self.model.bundle.name,
            "made_by": made_by,
            "planes": self._planes(truth),
            "sigma": "true" if self.sigma_given else "estimated",
        }

    @property
    def citation(self) -> str:
        """Who proposed it."""
        if self.denoiser is not None:
            return self.denoiser.citation
        return OURS if self.ours else DNCNN

    def _planes(self, truth: Truth) -> int:
        return self.planes if truth.isotropic else 1


@dataclass(frozen=True)
class Methods:
    """What is compared.

    Args:
        found: in the order of the tables.
        absent: label, and what to do about it, of those that are not here.
    """

    found: tuple[Method, ...]
    absent: dict[str, str]


def choose_methods(bundles: Sequence[Bundle], wanted: Sequence[str] | None = None, device: str = "auto") -> Methods:
    """All methods for Rician noise, or those wanted.

    Args:
        bundles: ours; each as it is and, where their weights are there, with its DnCNN.
        wanted: names; one of a network without planes and sigma (``rician``, ``dncnn``) stands for all of its variants.
        device: for networks.

    Raises:
        InputError: for a name that no method has, or a bundle that cannot be used.
    """
    found, absent = [Method("noisy", "Noisy", denoiser=NOISY)], {}
    for denoiser in BASELINES.values():
        if "rician" not in denoiser.noise or not _is_wanted(denoiser.name, wanted):
            continue
        if denoiser.available():
            given = denoiser.uses_sigma
            found.append(Method(denoiser.name, denoiser.label, denoiser=denoiser, sigma_given=given))
        else:
            absent[denoiser.label] = denoiser.missing_hint()
    short = {name: key for key, name in SHORT_NAMES.items()}
    for number, bundle in enumerate(bundles):
        stem = short.get(bundle.folder.name, bundle.folder.name)
        rival = "dncnn" if number == 0 else f"dncnn-{stem}"
        if _is_wanted(rival, wanted) and bundle.config(OVERLAY).is_file():
            label = f"DnCNN ({stem})"
            try:
                found += _variants(LearnedModel(bundle, overlay=OVERLAY, device=device), rival, label, ours=False)
            except InputError:  # it is a rival: the rest goes on without it
                absent[label] = f"has no weights that fit; train {bundle.name} with configs/{OVERLAY} on top"
        if _is_wanted(stem, wanted):
            found += _variants(LearnedModel(bundle, device=device), stem, f"HMAD-Net ({stem})", ours=True)
    if wanted is not None:
        known = {"noisy", *BASELINES, *(m.name for m in found), *(n for m in found for n in _stems(m.name))}
        known |= {"dncnn"} if absent else set()
        unknown = [name for name in wanted if name not in known]
        if unknown:
            raise InputError(f"method {unknown[0]}: not known; choose among {', '.join(sorted(known))}.")
        found = [m for m in found if m.name in wanted or m.name == "noisy" or _stems(m.name) & set(wanted)]
    names = [method.name for method in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"method {twice[0]}: two models have this name; rename the folder of one.")
    return Methods(tuple(found), absent)


def _variants(model: LearnedModel, stem: str, label: str, *, ours: bool) -> list[Method]:
    """Three planes and one, with the true sigma and, of ours, with the estimated one."""
    variants = []
    for planes in (3, 1) if "planes" in model.bundle.options else (1,):
        words = f"{label}, {planes} plane{'s' if planes > 1 else ''}"
        variants.append(Method(f"{stem}-{planes}", words, ours, model=model, planes=planes))
        if ours and model.uses_sigma:
            name = f"{stem}-{planes}-auto"
            variants.append(Method(name, f"{words}, sigma estimated", ours, None, model, planes, sigma_given=False))
    return variants


def _stems(name: str) -> set[str]:
    """The name without its variant: ``rician`` for ``rician-3-auto``; none for a name without variants."""
    stem = name.removesuffix("-auto").removesuffix("-1").removesuffix("-3")
    return {stem} if stem != name else set()


def _is_wanted(stem: str, wanted: Sequence[str] | None) -> bool:
    return wanted is None or any(name == stem or stem in _stems(name) for name in wanted)
