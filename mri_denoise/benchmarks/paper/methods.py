"""The methods that the paper's Table 2 compares."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from mri_denoise.benchmarks.baselines import BASELINES, NOISY, Method, Noise, Slicing
from mri_denoise.benchmarks.baselines.learned import learned
from mri_denoise.benchmarks.methods import DNCNN_CITATION, Candidate
from mri_denoise.benchmarks.paper.ablation import FULL, OVERLAY, Training, Variant, dncnn, train_variant
from mri_denoise.benchmarks.progress import SILENT, Progress
from mri_denoise.bundles.registry import Bundle
from mri_denoise.denoiser import Denoiser

HMAD, HMAD_ALIKE = "hmad", "hmad_alike"
DNCNN, DNCNN_ALIKE = "dncnn", "dncnn_alike"
BM3D, ADAPTIVE_MEDIAN = "bm3d", "adaptive_median"
RIVALS = (BM3D, ADAPTIVE_MEDIAN, DNCNN)
LEFT_OUT = "left out by --skip"
NOISE: tuple[Noise, ...] = ("salt-pepper",)
PICTURE = Slicing(white_level=1.0)  # images come on the scale [0, 1]


def candidates(
    bundle: Bundle,
    training: Training | None,
    seed: int,
    device: str,
    skip: Collection[str] = (),
    progress: Progress = SILENT,
) -> list[Candidate]:
    """The noisy image, BM3D, the adaptive median filter, DnCNN and HMAD-Net.

    Networks come with their shipped weights. DnCNN that does not ship is trained here, and so is HMAD-Net alike.

    Args:
        bundle: of HMAD-Net.
        training: how networks are trained alike; None where there is nothing to train on.
        seed: of that training.
        device: see :func:`mri_denoise.runtime.choose_device`.
        skip: of :data:`RIVALS`, those to leave out.
        progress: shows the trainings.
    """

    def trained(name: str, network: str, variant: Variant, training: Training) -> Candidate:
        label = f"{network}, {training.steps} steps here"

        def load(name: str) -> Method:
            return trained_method(training, variant, seed, device=device, name=name, label=label, progress=progress)

        return Candidate(name=name, label=network, variants={name: label}, load=load)

    # impulses leave no bias of Rician noise to remove
    classical = (replace(BASELINES[BM3D], label="BM3D", gaussian=False), BASELINES[ADAPTIVE_MEDIAN])
    rivals = [replace(c, hint=f"not installed; {c.hint}") for c in map(Candidate.of, classical)]
    rivals.append(_shipped_dncnn(bundle, device))
    if training is not None and DNCNN not in skip and not rivals[-1].available:
        rivals[-1] = replace(trained(DNCNN_ALIKE, "DnCNN", dncnn(bundle), training), name=DNCNN)
    found = [Candidate.of(NOISY)]
    found += [replace(c, available=False, hint=LEFT_OUT) if c.name in skip else c for c in rivals]
    if training is not None:
        found.append(trained(HMAD_ALIKE, "HMAD-Net", FULL, training))
    return [*found, _shipped_hmad(bundle, device)]


def trained_method(
    training: Training,
    variant: Variant,
    seed: int,
    *,
    device: str,
    name: str = "",
    label: str = "",
    progress: Progress = SILENT,
) -> Method:
    """A network that is trained here, or that an earlier run has trained.

    Args:
        training: what all trainings have in common.
        variant: the network.
        seed: of the training.
        device: on which the network denoises.
        name: short name; that of the variant with its seed by default.
        label: name in tables; that of the variant by default.
        progress: shows the training.

    Raises:
        InputError: if the training leaves no weights.
    """
    bundle = train_variant(training, variant, seed, progress)
    name = name or f"{variant.name}_seed{seed}"
    model = Denoiser(bundle, overlay=OVERLAY, device=device)
    return learned(model, PICTURE, name=name, label=label or variant.label, noise=NOISE)


def _shipped_dncnn(bundle: Bundle, device: str) -> Candidate:
    label = "DnCNN, shipped weights"

    def load(name: str) -> Method:
        model = Denoiser(bundle, overlay="dncnn.yaml", device=device)
        return learned(model, PICTURE, name=name, label=label, citation=DNCNN_CITATION, noise=NOISE, ours=False)

    return Candidate(
        name=DNCNN,
        label="DnCNN",
        variants={DNCNN: label},
        load=load,
        hint="no weights ship, and no data set is given to train it on",
        available=(bundle.folder / "models" / "dncnn.pt").is_file(),
    )


def _shipped_hmad(bundle: Bundle, device: str) -> Candidate:
    label = "HMAD-Net, shipped weights"

    def load(name: str) -> Method:
        return learned(Denoiser(bundle, device=device), PICTURE, name=name, label=label, noise=NOISE)

    return Candidate(name=HMAD, label="HMAD-Net", variants={HMAD: label}, load=load)
