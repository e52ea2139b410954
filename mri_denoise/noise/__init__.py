"""Noise of magnitude images: estimated, described and simulated."""
