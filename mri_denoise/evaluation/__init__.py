"""Measures of how close a denoised image is to the truth, and statistics of them."""
