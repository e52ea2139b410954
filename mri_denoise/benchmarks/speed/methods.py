"""Denoisers whose speed on a volume is measured, each by a name that a process of its own can be given."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from mri_denoise.benchmarks.baselines import BASELINES, Denoiser
from mri_denoise.benchmarks.baselines.itk import BILATERAL, CURVATURE
from mri_denoise.benchmarks.baselines.learned import Slicing, learned
from mri_denoise.benchmarks.baselines.nlmeans import nlmeans
from mri_denoise.benchmarks.speed.backends import precisions
from mri_denoise.bundles.registry import find_bundle
from mri_denoise.denoiser import Denoiser as LearnedModel
from mri_denoise.inference.slices import SliceDenoiseInferer
from mri_denoise.networks import DnCNN

CLASSICAL: dict[str, Denoiser] = {
    denoiser.name: denoiser
    for denoiser in (
        BASELINES["tv"],
        # on all cores, as the others: the voxels in which it is not repeatable do not change its time
        replace(BASELINES["nlmeans"], function=partial(nlmeans, threads=None)),
        *(BASELINES[name] for name in ("ants", "bm3d", "bm4d")),
        CURVATURE,
        BILATERAL,
    )
}


@dataclass(frozen=True)
class VolumeMethod:
    """A line of the table of volumes.

    Args:
        name: short name: ``ours-3-bfloat16`` for a network with its planes and precision, ``tv`` for a classical one.
        label: as in tables.
        stem: what ``--skip`` calls it: ``ours``, ``dncnn``, or the name of a classical one.
    """

    name: str
    label: str
    stem: str

    def absent(self) -> str | None:
        """What to do where its package is not installed; None where it is."""
        denoiser = CLASSICAL.get(self.stem)
        return None if denoiser is None or denoiser.available() else denoiser.missing_hint()


def volume_methods(device: str) -> list[VolumeMethod]:
    """All of them, installed or not: networks in each precision that the device is fast in, then the classical ones."""
    found = []
    for precision in reversed(precisions(device)):
        found += [VolumeMethod(f"ours-{n}-{precision}", f"ours, {_planes(n)}, {precision}", "ours") for n in (1, 3)]
    for precision in reversed(precisions(device)):
        found.append(VolumeMethod(f"dncnn-1-{precision}", f"DnCNN, {_planes(1)}, {precision}", "dncnn"))
    return found + [VolumeMethod(name, denoiser.label, name) for name, denoiser in CLASSICAL.items()]


def _planes(number: int) -> str:
    return f"{number} plane{'s' if number > 1 else ''}"


def make_denoiser(name: str, model: str, device: str) -> Denoiser:
    """The denoiser of a :class:`VolumeMethod`'s name, with its weights read and its network made.

    Args:
        name: see there.
        model: of ours: the bundle.
        device: for networks.
    """
    if name in CLASSICAL:
        return CLASSICAL[name]
    stem, planes, precision = name.split("-")
    if stem == "ours":
        bundle = find_bundle(model)
        slicing = Slicing(int(planes) if "planes" in bundle.options else 1)
        return learned(LearnedModel(bundle, device=device, precision=precision), slicing)
    return _dncnn(precision, device)


def _dncnn(precision: str, device: str) -> Denoiser:
    """DnCNN of 17 layers with the inputs of ours; its weights are random, which makes it no faster or slower."""
    network: Any = DnCNN(num_slices=5, noise_map=True).eval()
    network = network.to(device, memory_format=torch.channels_last)
    inferer = SliceDenoiseInferer(5, noise_map=True, precision=precision)

    def function(image: np.ndarray, sigma: float) -> np.ndarray:
        peak = float(image.max())
        volume = torch.as_tensor(image / peak, device=device)[None, None]
        with torch.inference_mode():
            level = torch.tensor([[sigma / peak]], device=device)
            return inferer(volume, network, sigma=level, slice_axis=2)[0, 0].cpu().numpy() * peak

    return Denoiser("dncnn", "DnCNN", "", ("rician",), function, dimensions=3)
