"""What a user chooses for a run. Defaults stand here alone; the command line, the node, BIDS and Python share them."""

from __future__ import annotations

import math
import numbers
import os
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mri_denoise.errors import InputError

Quality = Literal["fast", "balanced", "best"]
QUALITIES: tuple[Quality, ...] = ("fast", "balanced", "best")
Extra = Literal["residual", "noise-map", "uncertainty", "guard-map", "figure", "report"]
EXTRAS: tuple[Extra, ...] = ("residual", "noise-map", "uncertainty", "guard-map", "figure", "report")
_LEAST_PICTURE = 8
_KINDS = ("auto", "local", "level", "map")


@dataclass(frozen=True, kw_only=True)
class Sigma:
    """The noise level: the standard deviation of the noise in the real and in the imaginary channel.

    Args:
        kind: ``"auto"`` finds the level, a number or, where it is uneven, a map; ``"local"`` finds a map in any case;
            ``"level"`` is a number, ``"map"`` a file.
        level: the number, from 0 on, in the image's own units, for the kind ``"level"`` and no other.
        path: the file of a map in the image's grid, for the kind ``"map"`` and no other.

    Raises:
        InputError: for another kind, one without what belongs to it or with something else, and a level out of range.

    Examples:
        >>> Sigma.parse("12.5")
        Sigma(kind='level', level=12.5, path=None)
        >>> str(Sigma.parse("map"))
        'map'
    """

    kind: Literal["auto", "local", "level", "map"] = "auto"
    level: float | None = None
    path: Path | None = None

    def __post_init__(self) -> None:
        wants = {"level": (True, False), "map": (False, True)}.get(self.kind, (False, False))
        if self.kind not in _KINDS or (self.level is not None, self.path is not None) != wants:
            raise InputError(
                f"sigma of kind {self.kind}: must be auto or local by itself, level with a level, or map with a path."
            )
        if self.level is not None:
            level = _number("sigma", self.level)
            if not 0 <= level < math.inf:
                raise InputError(f"sigma {self.level}: must be a number from 0 on, in the image's own units.")
            object.__setattr__(self, "level", level)
        if self.path is not None:
            object.__setattr__(self, "path", Path(self.path))

    @classmethod
    def parse(cls, value: Sigma | str | float | os.PathLike[str]) -> Sigma:
        """Read what a user wrote.

        Args:
            value: ``"auto"``, ``"map"`` (measured at each voxel), a number, or the path of a map (``./map`` for a file
                of that name).

        Raises:
            InputError: for a negative number, NaN or infinity, a truth value, None, and for an array of more than one
                number: a bundle's config takes texts, so a map is a file here.
        """
        if isinstance(value, Sigma):
            return value
        if isinstance(value, str) and value in ("auto", "map"):
            return cls() if value == "auto" else cls(kind="local")
        try:
            if _is_truth(value):
                raise TypeError
            level = float(value)  # type: ignore[arg-type]  # a path is no number, which is the question
        except (TypeError, ValueError):
            if not isinstance(value, str | os.PathLike):
                kind = f"sigma of type {type(value).__name__}"
                raise InputError(f"{kind}: must be auto, map, a number, or the path of a map in a file.") from None
            return cls(kind="map", path=Path(os.fspath(value)))
        return cls(kind="level", level=level)

    @property
    def given(self) -> bool:
        """Whether the user gave it, so that nothing is measured."""
        return self.kind in ("level", "map")

    def __str__(self) -> str:
        """As on the command line and in a bundle's config: :meth:`parse` reads it back."""
        if self.level is not None:
            return repr(self.level).removesuffix(".0")
        if self.path is not None:
            return f"./{self.path}" if _is_word(str(self.path)) else str(self.path)
        return "map" if self.kind == "local" else self.kind


def _is_word(text: str) -> bool:
    """Whether a text means something else than a file of that name, to :meth:`Sigma.parse` or in a bundle's config."""
    try:
        float(text)
    except ValueError:
        return text in ("auto", "map") or text.startswith(("$", "@", "%"))
    return True


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The choices of a run. A bundle takes those of them that its ``inference.yaml`` names.

    Args:
        sigma: the noise level.
        strength: from 0, which gives the input back, to 1, the full result.
        quality: ``"fast"`` runs the collaborative filter once; ``"balanced"`` runs it twice and refines its result by a
            second network; ``"best"`` also averages slices along all three planes where voxels are nearly isotropic,
            and has a finer filter.
        picture_size: resize pictures to so many pixels on each side (the paper: 256); None keeps their size.
        device: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
        guard: whether what was removed and noise does not explain comes back.
        tta: whether the results of all mirror images are averaged, which takes four times as long.
        extras: files to write beside the result; ``"uncertainty"`` needs ``tta``, ``"guard-map"`` the guard.
        keep_vendor_headers: keep private DICOM blocks that describe the old pixels (Siemens CSA).
        overwrite: replace results that exist.

    Raises:
        InputError: for a value of another type, or out of its range.
    """

    sigma: Sigma = field(default_factory=Sigma)
    strength: float = 1.0
    quality: Quality = "balanced"
    picture_size: int | None = None
    device: str = "auto"
    guard: bool = True
    tta: bool = False
    extras: tuple[Extra, ...] = ()
    keep_vendor_headers: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        for name in ("guard", "tta", "keep_vendor_headers", "overwrite"):
            self._take(name, truth(name, getattr(self, name)))
        self._take("sigma", Sigma.parse(self.sigma))
        self._take("strength", _number("strength", self.strength))
        if self.picture_size is not None:
            self._take("picture_size", _whole("picture size", self.picture_size))
        if not isinstance(self.device, str):
            raise InputError(f"device of type {type(self.device).__name__}: must be a name, as auto, cpu or cuda.")
        if not 0 <= self.strength <= 1:
            raise InputError(f"strength {self.strength:g}: must lie between 0 and 1.")
        if not isinstance(self.quality, str) or self.quality not in QUALITIES:
            given = self.quality if isinstance(self.quality, str) else f"of type {type(self.quality).__name__}"
            raise InputError(f"quality {given}: must be {', '.join(QUALITIES[:-1])} or {QUALITIES[-1]}.")
        if self.picture_size is not None and self.picture_size < _LEAST_PICTURE:
            raise InputError(f"picture size {self.picture_size}: must be at least {_LEAST_PICTURE} pixels.")
        check_extras(self.extras)
        if "uncertainty" in self.extras and not self.tta:
            raise InputError("extra uncertainty: needs tta, whose mirror images it compares.")
        if "guard-map" in self.extras and not self.guard:
            raise InputError("extra guard-map: needs the guard, whose voxels it shows.")

    def _take(self, name: str, value: object) -> None:
        """Put a value that was read in the place of what was given."""
        object.__setattr__(self, name, value)

    def choices(self, options: Collection[str]) -> dict[str, str | float | int | None]:
        """The values that shape the result, under the names that a bundle's config gives them.

        Args:
            options: names of the bundle's config; others are left out.
        """
        every: dict[str, str | float | int | None] = {
            "sigma": str(self.sigma),
            "strength": self.strength,
            "quality": self.quality,
            "guard": self.guard,
            "picture_size": self.picture_size,
            "keep_vendor_headers": self.keep_vendor_headers,
        }
        return {name: value for name, value in every.items() if name in options}


def _number(name: str, value: Any) -> float:
    """A setting that is a real number, also one of NumPy's.

    Raises:
        InputError: for anything else, as a text.
    """
    if _is_truth(value) or not isinstance(value, numbers.Real):
        raise InputError(f"{name} of type {type(value).__name__}: must be a number.")
    return float(value)


def _whole(name: str, value: Any) -> int:
    """A setting that is a whole number, also one of NumPy's.

    Raises:
        InputError: for anything else, as a text or a fraction.
    """
    if _is_truth(value) or not isinstance(value, numbers.Integral):
        raise InputError(f"{name} of type {type(value).__name__}: must be a whole number.")
    return int(value)


def truth(name: str, value: Any) -> bool:
    """A setting that is on or off.

    Raises:
        InputError: for anything else, as a text.
    """
    if not _is_truth(value):
        raise InputError(f"{name} of type {type(value).__name__}: must be True or False.")
    return bool(value)


def _is_truth(value: Any) -> bool:
    """Whether a value is True or False, also one of NumPy's, which is not imported for that."""
    return type(value).__name__ in ("bool", "bool_")


def check_extras(extras: Collection[str]) -> None:
    """Refuse names of companions that there are not.

    Args:
        extras: names, not one text.

    Raises:
        InputError: for a name that is not among :data:`EXTRAS`.
    """
    if not isinstance(extras, Collection):
        raise InputError(f"extras of type {type(extras).__name__}: must be a list of names among {', '.join(EXTRAS)}.")
    unknown = [extras] if isinstance(extras, str) else [name for name in extras if name not in EXTRAS]
    if unknown:
        raise InputError(f"extra {unknown[0]}: not known; choose among {', '.join(EXTRAS)}.")


DEFAULTS = Settings()
