"""The methods that the paper's Table 2 sets side by side, and those of them that are not there, with the reason."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from mri_denoise.benchmarks.baselines import BASELINES, Denoiser
from mri_denoise.benchmarks.baselines.base import Noise
from mri_denoise.benchmarks.baselines.learned import Slicing, learned
from mri_denoise.benchmarks.paper import ablation as paper_ablation
from mri_denoise.benchmarks.paper.ablation import FULL, OVERLAY, Training, Variant
from mri_denoise.benchmarks.paper.scores import NOISY
from mri_denoise.bundles.registry import Bundle
from mri_denoise.denoiser import Denoiser as LearnedModel

HMAD, HMAD_ALIKE = "hmad", "hmad_alike"
DNCNN, DNCNN_ALIKE = "dncnn", "dncnn_alike"
BM3D, ADAPTIVE_MEDIAN = "bm3d", "adaptive_median"
RIVALS = (BM3D, ADAPTIVE_MEDIAN, DNCNN)
LEFT_OUT = "left out by --skip"
NOISE: tuple[Noise, ...] = ("salt-pepper",)
PICTURE = Slicing(white_level=1.0)  # images come on the scale [0, 1]

NOISY_IMAGE = Denoiser(NOISY, "Noisy", "", NOISE, lambda image, sigma: image, uses_sigma=False)


@dataclass
class Methods:
    """What is compared, and what is not.

    Args:
        found: the methods, in the order of the table.
        absent: label and reason of those that are missing.
    """

    found: list[Denoiser]
    absent: dict[str, str]


def table_2_methods(
    bundle: Bundle, training: Training | None, seed: int, device: str, skip: Collection[str] = ()
) -> Methods:
    """The noisy image, BM3D, the adaptive median filter, DnCNN and HMAD-Net.

    Networks come as shipped; DnCNN that does not ship is trained here, and to it belongs HMAD-Net trained alike.

    Args:
        bundle: of HMAD-Net.
        training: how networks are trained alike; None where there is nothing to train on.
        seed: of that training.
        device: see :func:`mri_denoise.runtime.choose_device`.
        skip: of :data:`RIVALS`, those to leave out.

    Raises:
        InputError: if the shipped weights cannot be used.
    """
    methods = Methods([NOISY_IMAGE], {})
    # impulses leave no bias of Rician noise to take away
    for method in (replace(BASELINES[BM3D], label="BM3D", gaussian=False), BASELINES[ADAPTIVE_MEDIAN]):
        if method.name in skip:
            methods.absent[method.label] = LEFT_OUT
        elif method.available():
            methods.found.append(method)
        else:
            methods.absent[method.label] = f"not installed; {method.missing_hint()}"
    if DNCNN in skip:
        methods.absent["DnCNN"] = LEFT_OUT
    elif (bundle.folder / "models" / "dncnn.pt").is_file():
        model = LearnedModel(bundle, overlay="dncnn.yaml", device=device)
        methods.found.append(learned(model, PICTURE, name=DNCNN, label="DnCNN, shipped weights", noise=NOISE))
    elif training is None:
        methods.absent["DnCNN"] = "no weights ship, and no data set is given to train it on"
    if training is not None:
        variants = {HMAD_ALIKE: FULL}
        if DNCNN not in skip and not any(method.name == DNCNN for method in methods.found):
            variants = {DNCNN_ALIKE: paper_ablation.dncnn(bundle), **variants}
        for name, variant in variants.items():
            label = f"{'DnCNN' if name == DNCNN_ALIKE else 'HMAD-Net'}, {training.steps} steps here"
            methods.found.append(trained_method(training, variant, seed, device, name, label))
    model = LearnedModel(bundle, device=device)
    methods.found.append(learned(model, PICTURE, name=HMAD, label="HMAD-Net, shipped weights", noise=NOISE))
    return methods


def trained_method(
    training: Training, variant: Variant, seed: int, device: str, name: str = "", label: str = ""
) -> Denoiser:
    """A network trained here, from the folder if it is there already."""
    bundle = paper_ablation.train_variant(training, variant, seed)
    name = name or f"{variant.name}_seed{seed}"
    model = LearnedModel(bundle, overlay=OVERLAY, device=device)
    return learned(model, PICTURE, name=name, label=label or variant.label, noise=NOISE)
