"""A derivation for tests that write."""

from __future__ import annotations

from mri_denoise.io import Derivation

DERIVATION = Derivation(
    model="hmad_rician",
    version="1.2.3",
    weights_sha256="5a" * 32,
    sigma="11.5 (estimated)",
    strength=1.0,
    software_version="0.1.0",
    settings="sigma auto",
)
