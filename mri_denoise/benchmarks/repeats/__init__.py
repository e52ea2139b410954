"""``mri-denoise benchmark repeats``: repeated scans, whose mean stands for the truth."""
