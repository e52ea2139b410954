"""The figures that the paper reports (Umair and Hamid 2025), which stand beside ours."""

from __future__ import annotations

from mri_denoise.benchmarks.paper.rows import Gain

# PSNR in dB, SSIM, milliseconds
PAPER_TABLE_2: dict[str, tuple[float, float, float]] = {
    "bm3d": (31.9, 0.9862, 210.0),
    "dncnn": (31.5, 0.8826, 45.0),
    "dncnn_alike": (31.5, 0.8826, 45.0),
    "hmad": (32.27, 0.9598, 38.0),
}
PAPER_ELSEWHERE = (
    "FFA-DMRI 30.55-39.76 dB / 0.9586-0.9946, FONDUE 33.5 / 0.928 / ~50 ms, BT-AutoNet 34.1 / 0.93 / ~55 ms"
)
PAPER_TABLE_3: dict[str, Gain] = {
    "psnr": Gain(
        noisy_mean=23.71, noisy_sd=2.69, denoised_mean=29.15, denoised_sd=1.15,
        gain=5.44, t=68.3083, ci_low=5.2816, ci_high=5.5940,
    ),
    "ssim": Gain(
        noisy_mean=0.6326, noisy_sd=0.1319, denoised_mean=0.8036, denoised_sd=0.0321,
        gain=0.1710, t=47.8367, ci_low=0.1640, ci_high=0.1780,
    ),
}  # fmt: skip
PAPER_TABLE_4: dict[str, tuple[float, float]] = {
    "unet": (30.45, 0.8921),
    "residual": (31.12, 0.9027),
    "attention": (31.56, 0.9089),
    "attention_residual": (32.27, 0.9598),
}
