"""``mri-denoise benchmark safety``: what a denoiser takes away, makes up and changes, on phantoms of known truth."""
