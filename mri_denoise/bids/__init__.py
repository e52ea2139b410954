"""BIDS data sets: which of their images are denoised, and the data set that the results make (BIDS 1.10)."""
