"""Options that `denoise` and `bids` share: what a user chooses, checked."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any

from mri_denoise.cli import common
from mri_denoise.settings import DEFAULTS, Extra, Settings, Sigma

if TYPE_CHECKING:  # the command line answers faster without
    from mri_denoise.bundles.registry import Bundle


class Quality(str, Enum):
    """How much time is taken for how good a result."""

    fast = "fast"
    balanced = "balanced"
    best = "best"


QUALITY_HELP = (
    "fast (0.7 of the time, 0.5 dB less), balanced, or best (up to two and a half times the time, 0.1 to 0.2 dB more)."
)

TTA_HELP = "Average over mirror images, four times as long, and write how far they differ."


def make_settings(*, sigma: str, extras: Mapping[Extra, bool], **choices: Any) -> Settings:
    """The user's choices; ends with code 2 for one that is out of its range.

    Args:
        sigma: as on the command line.
        extras: which companions are wanted.
        choices: the other fields of `Settings`.
    """
    with common.one_line_errors(common.WRONG_USAGE):
        level = Sigma.parse(sigma)
        if level.path is not None and not level.path.is_file():
            possible = "auto, map, a number from 0 on, or the file of a noise map"
            common.stop(f"--sigma {sigma}: must be {possible}.", common.WRONG_USAGE)
        return Settings(sigma=level, extras=tuple(extra for extra, wanted in extras.items() if wanted), **choices)


MODEL_HELP = "rician, salt-pepper, or the folder of a MONAI bundle, which is code: use none that you do not trust."


def find_model(model: str, settings: Settings, *, trust: bool) -> Bundle:
    """The bundle of a model; ends with code 2 for one that may not run, or does not know what was chosen."""
    bundle = common.find_model(model, trust=trust)
    if "sigma" not in bundle.options and ("noise-map" in settings.extras or settings.sigma != DEFAULTS.sigma):
        common.stop(f"model {model} does not use a noise level: no --sigma, no --noise-map.", common.WRONG_USAGE)
    if "guard" not in bundle.options and ("guard-map" in settings.extras or settings.guard != DEFAULTS.guard):
        common.stop(f"model {model} has no guard: no --guard-map, no --no-guard.", common.WRONG_USAGE)
    if "quality" not in bundle.options and settings.quality != DEFAULTS.quality:
        common.stop(f"model {model} knows one quality: no --quality.", common.WRONG_USAGE)
    return bundle
