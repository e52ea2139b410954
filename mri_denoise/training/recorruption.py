"""Fine-tuning on noisy images alone: from one noisy image two with independent noise, one the input, one the target.

Recorrupted-to-recorrupted (Pang et al., CVPR 2021; Monroy et al., 2024, https://arxiv.org/abs/2412.04648): with
y = x + n and a fresh z of the same law as n, the noise of y + a z and that of y - z / a are independent, so a network
that is trained to map the one to the other learns what it would learn from references, at a noise level of
sqrt(1 + a^2) sigma; the noise map tells it that level. In expectation this is Stein's unbiased risk estimate (SURE),
without its divergence.

For magnitudes the fresh noise is complex: |y + a z| follows Rice's law of the raised level exactly, because the law of
z does not depend on the phase that y has lost. The target needs noise that is nearly Gaussian and without bias: it
starts from sqrt(y^2 - sigma^2), which has the mean of the signal and the variance of the noise where SNR is above 3
(Gudbjartsson and Patz, 1995, https://doi.org/10.1002/mrm.1910340618). Elsewhere (air, very dark tissue) the network is
held to what it said before.
"""

from __future__ import annotations

from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.engines import PrepareBatch
from torch import nn

from mri_denoise.inference.slices import MixedPrecisionInferer
from mri_denoise.noise.drawing import draw_noise

LEAST_SNR = 3.0


class PrepareRecorrupted(PrepareBatch):
    """Input and target for the network from noisy slabs.

    The label has four channels: target, its weight (0 where it must not be used, else 1 / sigma^2), what the network
    said before, and the weight of that.

    Args:
        before: the network as it was; never changed.
        noise_map: whether the network takes the noise level as its last channel.
        alpha: how much noise is added, in units of sigma.
        precision: see :class:`~mri_denoise.inference.slices.MixedPrecisionInferer`.
    """

    def __init__(
        self, before: nn.Module, noise_map: bool = True, alpha: float = 0.5, precision: str = "float32"
    ) -> None:
        self.before, self.noise_map, self.alpha = before.eval(), noise_map, alpha
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
        """Shapes (N, channels, H, W) and (N, 4, H, W), from items of ``RandNoisySlabd``."""
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
            before = self.inferer(self._input(image, sigma), self.before)
        target = (noisy.square() - sigma.square()).clamp(min=0).sqrt() - real[:, centre : centre + 1] / self.alpha
        bright = (before > LEAST_SNR * sigma).to(weight) * weight
        inverse = 1 / sigma.square().clamp(min=1e-8)
        label = torch.cat((target, bright * inverse, before, (weight - bright) * inverse), dim=1)
        raised = torch.hypot(image + self.alpha * real, self.alpha * imaginary)
        return self._input(raised, sigma * (1 + self.alpha**2) ** 0.5), label


class RecorruptedLoss(nn.Module):
    """Weighted squared errors from the target and, where that cannot be used, from what the network said before.

    Args:
        reduction: ``"mean"`` for a scalar, ``"none"`` for one value an item, shape (N, 1).
    """

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = reduction

    def forward(self, prediction: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """A prediction of shape (N, 1, H, W) and a label of :class:`PrepareRecorrupted`; in units of sigma^2."""
        target, use, before, keep = label.split(1, dim=1)
        errors = use * (prediction - target).square() + keep * (prediction - before).square()
        items = errors.mean(dim=(1, 2, 3))
        return items.mean() if self.reduction == "mean" else items[:, None]


class HeldOutCurve:
    """Remembers the held-out loss of each tile after each validation, the first of which is of the unchanged network.

    Args:
        name: of the metric, kept with its details (MONAI's ``LossMetric``).
    """

    def __init__(self, name: str = "val_loss") -> None:
        self.name = name
        self.values: list[torch.Tensor] = []

    def attach(self, engine: Engine) -> None:
        """Follow an evaluator."""
        engine.add_event_handler(Events.COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Keep the details of the run that has ended."""
        details = getattr(engine.state, "metric_details")[self.name]  # noqa: B009 (MONAI adds it to Ignite's state)
        self.values.append(details.detach().double().cpu().flatten().clone())

    @property
    def losses(self) -> list[float]:
        """Mean loss of each validation."""
        return [float(value.mean()) for value in self.values]

    def gain(self) -> tuple[float, float]:
        """How much the best mean loss is below the first, and the standard error of that over the tiles."""
        first = self.values[0]
        best = min(self.values, key=lambda value: float(value.mean()))
        differences = first - best
        error = float(differences.std()) / len(first) ** 0.5 if len(first) > 1 else 0.0
        return float(differences.mean()), error

    def improved(self) -> bool:
        """Whether the gain is more than twice its standard error."""
        gain, error = self.gain()
        return gain > 2 * error and gain > 0
