"""Losses against closed forms, MONAI's SSIM metric and scikit-image."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.losses import SSIMLoss
from monai.metrics import SSIMMetric
from skimage.metrics import structural_similarity
from torch import nn

from mri_denoise.training.losses import LogRMSELoss, PixelSSIMLoss, SSIM2DLoss, SSIML1PerceptualLoss


@pytest.fixture(scope="module")
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:40, :48]
    truth = 0.5 + 0.3 * np.sin(x / 5) * np.cos(y / 7)
    noisy = truth + rng.normal(0, 0.05, truth.shape)
    return tuple(torch.from_numpy(a.astype(np.float32))[None, None] for a in (noisy, truth))


@pytest.mark.parametrize("pixel", ["mse", "l1"])
def test_the_terms_are_weighted(pair: tuple[torch.Tensor, torch.Tensor], pixel: str) -> None:
    noisy, truth = pair
    error = (noisy - truth).double().numpy()
    wanted = (error**2).mean() if pixel == "mse" else np.abs(error).mean()
    assert PixelSSIMLoss(pixel, alpha=1, beta=0)(noisy, truth).item() == pytest.approx(wanted, rel=1e-5)
    ssim = SSIMMetric(spatial_dims=2, data_range=1.0)(noisy, truth).mean().item()
    assert PixelSSIMLoss(pixel, alpha=0, beta=1)(noisy, truth).item() == pytest.approx(1 - ssim, rel=1e-5)
    default = PixelSSIMLoss(pixel)(noisy, truth).item()
    assert default == pytest.approx(0.8 * wanted + 0.2 * (1 - ssim), rel=1e-5)


def test_the_fast_ssim_is_monais_in_value_and_gradient() -> None:
    generator = torch.Generator().manual_seed(0)
    truth = torch.rand(3, 1, 33, 40, generator=generator)
    noisy = (truth + 0.1 * torch.randn(truth.shape, generator=generator)).requires_grad_()
    values, gradients = [], []
    for loss in (SSIM2DLoss(2.0), SSIMLoss(2, data_range=2.0)):
        value = loss(noisy, truth)
        values.append(value)
        gradients.append(torch.autograd.grad(value, noisy)[0])
    torch.testing.assert_close(*values, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=float(gradients[1].abs().max()) * 1e-4)
    with pytest.raises(ValueError, match="at least 11 pixels"):
        SSIM2DLoss()(truth[..., :8], truth[..., :8])


def test_log_rmse_counts_every_image_alike_and_stops_at_its_floor() -> None:
    target = torch.zeros(2, 1, 4, 4)
    errors = torch.tensor([0.1, 0.01]).reshape(2, 1, 1, 1)
    wanted = 0.5 * (np.log(0.1) + np.log(0.01))
    assert LogRMSELoss(floor=0)(target + errors, target).item() == pytest.approx(wanted, rel=1e-5)
    halved = LogRMSELoss(floor=0)(target + errors * torch.tensor([1.0, 0.5]).reshape(2, 1, 1, 1), target).item()
    assert halved - wanted == pytest.approx(0.5 * np.log(0.5), rel=1e-4)
    assert LogRMSELoss(floor=0.002)(target, target).item() == pytest.approx(np.log(0.002), rel=1e-5)


def test_ssim_is_that_of_scikit_image_away_from_the_border(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    noisy, truth = pair
    # MONAI uses a window of 11 without padding, so its value is the mean over what is 5 pixels inside
    full = structural_similarity(
        truth[0, 0].numpy(), noisy[0, 0].numpy(), data_range=1.0, gaussian_weights=True, sigma=1.5,
        use_sample_covariance=False, full=True,
    )[1]  # fmt: skip
    loss = PixelSSIMLoss(alpha=0, beta=1)(noisy, truth).item()
    assert 1 - loss == pytest.approx(full[5:-5, 5:-5].mean(), abs=2e-4)


def test_a_constant_offset_has_a_closed_form() -> None:
    target = torch.full((2, 1, 16, 16), 0.5)
    prediction = target + 0.25
    c1 = 0.01**2
    ssim = (2 * 0.5 * 0.75 + c1) / (0.5**2 + 0.75**2 + c1)
    wanted = 0.8 * 0.25**2 + 0.2 * (1 - ssim)
    # float32 leaves a variance of 1e-7 where there is none, beside a constant of 9e-4
    assert PixelSSIMLoss()(prediction, target).item() == pytest.approx(wanted, abs=2e-4)


def test_three_dimensions_and_another_range() -> None:
    truth = torch.rand(1, 1, 12, 13, 14)
    noisy = truth + 0.1 * torch.randn_like(truth)
    one = PixelSSIMLoss(alpha=0, beta=1, spatial_dims=3)(noisy, truth)
    scaled = PixelSSIMLoss(alpha=0, beta=1, spatial_dims=3, data_range=255.0)(255 * noisy, 255 * truth)
    torch.testing.assert_close(one, scaled, rtol=1e-4, atol=1e-5)


def test_equal_images_have_no_loss_and_an_unknown_pixel_term_is_refused() -> None:
    x = torch.rand(1, 1, 16, 16)
    assert PixelSSIMLoss()(x, x).item() == pytest.approx(0, abs=1e-6)
    with pytest.raises(ValueError, match="'huber'"):
        PixelSSIMLoss("huber")  # type: ignore[arg-type]


class Edges(nn.Module):
    """A perceptual term whose value is known: the mean square difference of horizontal edges."""

    def forward(self, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return (prediction.diff(dim=-1) - target.diff(dim=-1)).square().mean()


def test_the_perceptual_loss_adds_its_three_terms(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    noisy, truth = pair
    ssim = SSIMMetric(spatial_dims=2, data_range=1.0)(noisy, truth).mean().item()
    l1 = np.abs((noisy - truth).numpy()).mean()
    edges = np.square(np.diff((noisy - truth).numpy(), axis=-1)).mean()
    loss = SSIML1PerceptualLoss(0.3, 0.5, 7.0, perceptual=Edges())(noisy, truth).item()
    assert loss == pytest.approx(0.3 * (1 - ssim) + 0.5 * l1 + 7 * edges, rel=1e-5)


def test_without_weight_no_trained_network_is_needed(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    loss = SSIML1PerceptualLoss(0.2, 0.8, 0.0)
    assert loss.perceptual is None
    torch.testing.assert_close(loss(*pair), PixelSSIMLoss("l1")(*pair))


@pytest.mark.parametrize("loss", [PixelSSIMLoss(), PixelSSIMLoss("l1"), SSIML1PerceptualLoss(perceptual=Edges())])
@pytest.mark.parametrize("target", ["image", "constant", "equal"])
def test_gradients_are_finite(pair: tuple[torch.Tensor, torch.Tensor], loss: nn.Module, target: str) -> None:
    noisy, truth = pair
    prediction = noisy.clone().requires_grad_()
    reference = {"image": truth, "constant": torch.zeros_like(truth), "equal": noisy}[target]
    loss(prediction, reference).backward()
    assert torch.isfinite(prediction.grad).all()
    if target != "equal":
        assert prediction.grad.abs().max() > 0
