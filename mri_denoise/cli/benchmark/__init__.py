"""``mri-denoise benchmark``."""
