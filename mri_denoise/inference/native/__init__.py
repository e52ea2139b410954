"""The collaborative filter compiled from C: an option of a build, with the PyTorch form as reference and fallback.

:func:`available` and :func:`description` say which one runs. Neither needs PyTorch.
"""

from __future__ import annotations

from mri_denoise.inference.native.library import available, description

__all__ = ["available", "description"]
