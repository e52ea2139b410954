"""Which of a user's choices can have an effect on an image; imports no torch."""

from __future__ import annotations

from dataclasses import replace

from mri_denoise.io.case import Case
from mri_denoise.settings import DEFAULTS, Settings


def effective(settings: Settings, case: Case) -> Settings:
    """The choices for one case: those that its kind does not know are at their defaults.

    A record and the identifiers of a derived series are made of them. What has no effect must change neither: the
    same result would count as another one.

    Args:
        settings: the user's choices.
        case: what is denoised.
    """
    return replace(
        settings,
        picture_size=settings.picture_size if case.picture else DEFAULTS.picture_size,
        keep_vendor_headers=settings.keep_vendor_headers if case.writes_folder else DEFAULTS.keep_vendor_headers,
    )
