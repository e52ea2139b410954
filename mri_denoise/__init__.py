"""Denoise magnetic resonance images with HMAD-Net, headers preserved."""

__version__ = "0.1.0"
__all__ = ["__version__"]
