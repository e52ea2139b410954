"""``mri-denoise benchmark paper``: the tables of the paper, made anew."""
