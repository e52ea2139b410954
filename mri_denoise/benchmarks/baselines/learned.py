"""The network of a bundle under the denoisers' contract: arrays in memory, no files."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor

from mri_denoise import __version__
from mri_denoise.benchmarks.baselines.base import Denoiser, Noise
from mri_denoise.bundles.registry import Bundle
from mri_denoise.bundles.weights import sha256

# the ends of the bundle's chains that have to do with files, or with settings that an array in memory does not have
_FILE_TRANSFORMS = ("LoadVolumed", "EstimateNoised", "SaveVolumed")


@dataclass(frozen=True)
class Slicing:
    """How a volume is cut into slices.

    Args:
        planes: 1, 3 or ``"auto"`` for 3 where voxels are nearly isotropic, which takes an affine to know.
        slice_axis: the axis across slices, 0, 1 or 2.
        affine: voxel index to RAS+ mm, as 16 numbers row by row; None stands for isotropic voxels.
        white_level: the value of white where the image has one (255 for 8-bit pictures).
        contiguous: False denoises each slice without its neighbours.
    """

    planes: int | str = 1
    slice_axis: int = 2
    affine: tuple[float, ...] | None = None
    white_level: float | None = None
    contiguous: bool = True


class LearnedModel:
    """A bundle's network with the transforms of its own ``inference.yaml``, from an array to an array.

    Args:
        bundle: what to run.
        overlay: another config of the bundle that is merged on top, as ``dncnn.yaml``.
        device: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
        precision: ``"float32"``, ``"bfloat16"`` or ``"float16"``; the bundle chooses by default.

    Raises:
        InputError: if the weights are missing, altered or of another network, or the device is not here.
    """

    def __init__(
        self, bundle: Bundle, overlay: str | None = None, device: str = "auto", precision: str | None = None
    ) -> None:
        from mri_denoise.errors import find_error
        from mri_denoise.runtime import choose_device, quiet

        files = [bundle.config("inference.yaml"), *([bundle.config(overlay)] if overlay else [])]
        self.bundle, self.device = bundle, choose_device(device)
        with quiet():
            self._parser = ConfigParser()
            self._parser.read_config([str(f) for f in files])
            self._parser["bundle_root"] = str(bundle.folder)
            self._parser["device"] = f"$torch.device('{self.device}')"
            if precision is not None:
                self._parser["precision"] = precision
            for chain in ("preprocessing", "postprocessing"):
                steps = [t for t in self._parser[chain]["transforms"] if not t["_target_"].endswith(_FILE_TRANSFORMS)]
                self._parser[chain]["transforms"] = steps
            extra = self._parser["evaluator"].get("prepare_batch", {}).get("extra_keys", {})
            self.inferer_keys: dict[str, str] = dict(extra)
            weights = Path(self._parser.get_parsed_content("ckpt_path"))
            try:
                self.network: torch.nn.Module = self._parser.get_parsed_content("network")
            except Exception as error:
                raise find_error(error) or error from error
        self._chains: dict[int | str, list[Any]] = {}
        self.weights_sha256 = sha256(weights)
        self.config_sha256 = hashlib.sha256(b"".join(f.read_bytes() for f in files)).hexdigest()
        self.uses_sigma = "sigma" in bundle.options

    def _chain(self, planes: int | str) -> list[Any]:
        """Preprocessing, inferer and postprocessing, made once for each choice of planes."""
        if planes not in self._chains:
            if "planes" in self.bundle.options:
                self._parser["planes"] = planes
            names = ("preprocessing", "inferer", "postprocessing")
            self._chains[planes] = [self._parser.get_parsed_content(name) for name in names]
        return self._chains[planes]

    def __call__(self, image: np.ndarray, sigma: float, slicing: Slicing) -> np.ndarray:
        """Denoise one image.

        Args:
            image: float32 and finite, (X, Y, Z) or (H, W), in any unit.
            sigma: of the noise, in that unit.
            slicing: how it is cut.

        Returns:
            float32 array of the same shape.
        """
        before, inferer, after = self._chain(slicing.planes)
        affine = np.eye(4) if slicing.affine is None else np.reshape(slicing.affine, (4, 4))
        volume = image if image.ndim == 3 else image[..., None]
        raw = MetaTensor(torch.from_numpy(volume[None].copy()), affine=torch.from_numpy(affine))
        item: dict[str, Any] = {"image": raw, "raw": raw, "slice_axis": slicing.slice_axis}
        item["contiguous"] = slicing.contiguous
        if self.uses_sigma:
            item["sigma"] = torch.tensor([sigma], dtype=torch.float32)
        if slicing.white_level is not None:
            item["white_level"] = slicing.white_level
        item = before(item)
        extra = {name: item[key] for name, key in self.inferer_keys.items()}
        if "sigma" in extra:
            extra["sigma"] = extra["sigma"][None].to(self.device)
        with torch.inference_mode():
            pred = inferer(item["image"][None].to(self.device), self.network, **extra)[0].cpu()
        item["pred"] = MetaTensor(pred, meta=item["image"].meta)
        return np.asarray(after(item)["pred"][0]).reshape(image.shape)


def learned(
    model: LearnedModel,
    slicing: Slicing | None = None,
    *,
    name: str = "",
    label: str = "",
    citation: str = "this package",
    noise: tuple[Noise, ...] = ("rician",),
) -> Denoiser:
    """A bundle's network as a :class:`~mri_denoise.benchmarks.baselines.base.Denoiser`.

    Args:
        model: the network, which several denoisers may share.
        slicing: how volumes are cut; one plane, slices across the last axis by default.
        name: short name; the bundle's by default.
        label: for tables and figures; the name by default.
        citation: who proposed it.
        noise: kinds of noise that it is for.

    Returns:
        the denoiser, its ``version`` a SHA-256 over weights, configs, device and version of this package.
    """
    cut = slicing or Slicing()
    name = name or model.bundle.name
    made_of = (model.weights_sha256, model.config_sha256, model.device, __version__)
    return Denoiser(
        name=name,
        label=label or name,
        citation=citation,
        noise=noise,
        function=lambda image, sigma: model(image, sigma, cut),
        uses_sigma=model.uses_sigma,
        slice_axis=cut.slice_axis,
        version=hashlib.sha256(" ".join(made_of).encode()).hexdigest(),
    )
