"""``mri-denoise benchmark accuracy``: PSNR and SSIM of methods on volumes with added Rician noise."""
