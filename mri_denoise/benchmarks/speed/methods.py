"""The methods whose speed on a volume is measured, each by a name that a process of its own can be given."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch

from mri_denoise.benchmarks.baselines import BASELINES, Classical, Method, Slicing
from mri_denoise.benchmarks.baselines.external import nlmeans
from mri_denoise.benchmarks.baselines.learned import learned
from mri_denoise.benchmarks.methods import DNCNN_CITATION, Candidate
from mri_denoise.benchmarks.speed.backends import precisions
from mri_denoise.bundles.registry import find_bundle
from mri_denoise.denoiser import Denoiser
from mri_denoise.inference.slices import SliceDenoiseInferer
from mri_denoise.networks import DnCNN
from mri_denoise.runtime import choose_precision
from mri_denoise.settings import QUALITIES

CLASSICAL: tuple[Classical, ...] = (
    BASELINES["tv"],
    # on all cores, as the others: the voxels that differ from run to run do not change its time
    replace(BASELINES["nlmeans"], function=partial(nlmeans, threads=None)),
    *(BASELINES[name] for name in ("ants", "bm3d", "bm4d", "itk-curvature", "itk-bilateral")),
)


def candidates(model: str, device: str) -> list[Candidate]:
    """All methods, installed or not: networks in each precision that the device is fast in, then the classical ones.

    Args:
        model: ours: name or folder of the bundle.
        device: for networks.

    Returns:
        the candidates in the order of the table; ``ours-best-bfloat16`` is a variant of ``ours``.
    """
    kinds = list(reversed(precisions(device)))
    own = dict.fromkeys([choose_precision(device, integers=True), *kinds])
    ours = {f"ours-{quality}-{kind}": f"ours, {quality}, {kind}" for kind in own for quality in QUALITIES}
    dncnn = {f"dncnn-1-{kind}": f"DnCNN, 1 plane, {kind}" for kind in kinds}

    def load_ours(name: str) -> Method:
        _, wanted, precision = name.split("-")
        quality = next(quality for quality in QUALITIES if quality == wanted)
        network = Denoiser(find_bundle(model), device=device, precision=precision)
        return learned(network, Slicing(quality=quality), name=name, label=ours[name])

    def load_dncnn(name: str) -> Method:
        return _dncnn(name, dncnn[name], name.split("-")[2], device)

    return [
        Candidate(name="ours", label="ours", variants=ours, load=load_ours),
        Candidate(name="dncnn", label="DnCNN", variants=dncnn, load=load_dncnn),
        *map(Candidate.of, CLASSICAL),
    ]


def load_method(name: str, model: str, device: str) -> Method:
    """Load one method: read its weights and make its network, or import its package.

    Args:
        name: of a variant of :func:`candidates`.
        model: see there.
        device: see there.

    Raises:
        InputError: if the bundle cannot be used, or a package is not installed.
    """
    method = next(c for c in candidates(model, device) if name in c.variants).load(name)
    method.load()
    return method


def _dncnn(name: str, label: str, precision: str, device: str) -> Method:
    """DnCNN of 17 layers with our inputs. Its weights are random, which does not change its speed."""
    network: Any = DnCNN(num_slices=5, noise_map=True).eval()
    network = network.to(device, memory_format=torch.channels_last)
    inferer = SliceDenoiseInferer(5, noise_map=True, precision=precision)

    def function(image: np.ndarray, sigma: float) -> np.ndarray:
        peak = float(image.max())
        volume = torch.as_tensor(image / peak, device=device)[None, None]
        with torch.inference_mode():
            level = torch.tensor([[sigma / peak]], device=device)
            return inferer(volume, network, sigma=level, slice_axis=2)[0, 0].cpu().numpy() * peak

    return Classical(name=name, label=label, citation=DNCNN_CITATION, function=function, dimensions=3)
