"""Images in and out: find cases, read them to `Volume`, write results with the headers of their sources.

Importing this package loads none of the format libraries; each is loaded by the first case that needs it. Writing is
apart, in `mri_denoise.io.writing`.
"""

from __future__ import annotations

from mri_denoise.io.case import Case, Derivation, Skip
from mri_denoise.io.discover import discover
from mri_denoise.io.formats import VolumeReader
from mri_denoise.io.reading import open_reader, read

__all__ = ["Case", "Derivation", "Skip", "VolumeReader", "discover", "open_reader", "read"]
