"""Fine-tune on noisy images alone: make two images with independent noise out of one, an input and a target.

Recorrupted-to-recorrupted (Pang et al., CVPR 2021; Monroy et al., 2024, https://arxiv.org/abs/2412.04648): let
y = x + n be the noisy image and z fresh noise of the same distribution as n. The noise of y + a z and that of y - z / a
are independent, so a network that is trained to map the one to the other learns what it would learn from references, at
a noise level of sqrt(1 + a^2) sigma, which the noise map gives. In expectation the loss is Stein's unbiased risk
estimate (SURE), without its divergence.

For magnitudes the fresh noise is complex: |y + a z| follows Rice's distribution of the raised level exactly, because
the distribution of z does not depend on the phase, which y has lost. The noise of the target must be nearly Gaussian
and without bias. The target starts from sqrt(y^2 - sigma^2), which has the mean of the signal and the variance of the
noise if SNR is above 3 (Gudbjartsson and Patz, 1995, https://doi.org/10.1002/mrm.1910340618). Elsewhere (air, very dark
tissue) the network is held to the result of the original network.
"""

from __future__ import annotations

from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.engines import PrepareBatch
from torch import nn

from mri_denoise.inference.mixed_precision import MixedPrecisionInferer
from mri_denoise.noise.simulate import draw_noise

LEAST_SNR = 3.0  # below, the noise of a magnitude is not nearly Gaussian


class PrepareRecorrupted(PrepareBatch):
    """Make the network's input and target from noisy slabs.

    The label has four channels: the target, its weight (1 / sigma^2, or 0 where it must not be used), the result of the
    original network, and the weight of that.

    Args:
        original: the network before the adaptation; never changed.
        noise_map: whether the network takes the noise level as its last channel.
        alpha: how much noise is added, in units of sigma.
        precision: as for :class:`~mri_denoise.inference.mixed_precision.MixedPrecisionInferer`.
    """

    def __init__(
        self, original: nn.Module, noise_map: bool = True, alpha: float = 0.5, precision: str = "float32"
    ) -> None:
        self.original, self.noise_map, self.alpha = original.eval(), noise_map, alpha
        self.inferer = MixedPrecisionInferer(precision)

    def _input(self, image: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        return torch.cat((image, sigma), dim=1) if self.noise_map else image

    def __call__(
        self,
        batchdata: dict[str, torch.Tensor],
        device: str | torch.device | None = None,
        non_blocking: bool = False,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Prepare a batch.

        Args:
            batchdata: items of :class:`~mri_denoise.training.noisy_slabs.RandNoisySlabd`, or one of
                :func:`~mri_denoise.training.noisy_slabs.held_out_tiles`.
            device: of the result.
            non_blocking: see ``torch.Tensor.to``.
            kwargs: see ``torch.Tensor.to``.

        Returns:
            input and label, shapes (N, channels, H, W) and (N, 4, H, W).
        """
        image, sigma, weight, filters = (
            torch.as_tensor(batchdata[key]).to(device=device, non_blocking=non_blocking, **kwargs)
            for key in ("image", "sigma", "weight", "filters")
        )
        generator = None
        if "seed" in batchdata:
            generator = torch.Generator().manual_seed(int(batchdata["seed"][0]))
        centre = image.shape[1] // 2
        sigma, weight, noisy = (x[:, centre : centre + 1] for x in (sigma, weight, image))
        shape = (image.shape[0], image.shape[1], image.shape[2], image.shape[3])
        level = sigma * (image != 0)  # masked air has no noise, and gets none
        real, imaginary = (draw_noise(shape, filters, generator) * level for _ in range(2))
        with torch.no_grad():
            before = self.inferer(self._input(image, sigma), self.original)
        target = (noisy.square() - sigma.square()).clamp(min=0).sqrt() - real[:, centre : centre + 1] / self.alpha
        bright = (before > LEAST_SNR * sigma).to(weight) * weight
        inverse = 1 / sigma.square().clamp(min=1e-8)
        label = torch.cat((target, bright * inverse, before, (weight - bright) * inverse), dim=1)
        raised = torch.hypot(image + self.alpha * real, self.alpha * imaginary)
        return self._input(raised, sigma * (1 + self.alpha**2) ** 0.5), label


class RecorruptedLoss(nn.Module):
    """Weigh squared errors from the target and, where that cannot be used, from the result of the original network.

    Args:
        reduction: ``"mean"`` for a scalar, ``"none"`` for one value for each item, shape (N, 1).
    """

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = reduction

    def forward(self, prediction: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """Compute the loss in units of sigma^2.

        Args:
            prediction: shape (N, 1, H, W).
            label: of :class:`PrepareRecorrupted`, shape (N, 4, H, W).
        """
        target, use, before, keep = label.split(1, dim=1)
        errors = use * (prediction - target).square() + keep * (prediction - before).square()
        items = errors.mean(dim=(1, 2, 3))
        return items.mean() if self.reduction == "mean" else items[:, None]


class HeldOutCurve:
    """Record the held-out loss of each tile at each validation; the first validation is that of the original network.

    Args:
        name: of the metric, whose details are kept (MONAI's ``LossMetric``).
    """

    def __init__(self, name: str = "val_loss") -> None:
        self.name = name
        self.values: list[torch.Tensor] = []

    def attach(self, engine: Engine) -> None:
        """Record the validations of an evaluator."""
        engine.add_event_handler(Events.COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Record the details of a completed validation."""
        details = getattr(engine.state, "metric_details")[self.name]  # noqa: B009 (MONAI adds it to Ignite's state)
        self.values.append(details.detach().double().cpu().flatten().clone())

    @property
    def losses(self) -> list[float]:
        """Mean loss of each validation, in order."""
        return [float(value.mean()) for value in self.values]

    def gain(self) -> tuple[float, float]:
        """Compute how far the best mean loss is below the first, and the standard error of that over the tiles."""
        first = self.values[0]
        best = min(self.values, key=lambda value: float(value.mean()))
        differences = first - best
        error = float(differences.std()) / len(first) ** 0.5 if len(first) > 1 else 0.0
        return float(differences.mean()), error

    def improved(self) -> bool:
        """Tell whether the gain is more than twice its standard error."""
        gain, error = self.gain()
        return gain > 2 * error and gain > 0
