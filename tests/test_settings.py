"""What a user chooses, read in one place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mri_denoise.errors import InputError
from mri_denoise.settings import DEFAULTS, Settings, Sigma


@pytest.mark.parametrize(
    ("text", "kind"), [("auto", "auto"), ("map", "local"), ("12.5", "level"), ("0", "level"), ("noise.nii", "map")]
)
def test_each_kind_of_sigma_is_told_from_its_text(text: str, kind: str) -> None:
    assert Sigma.parse(text).kind == kind
    assert Sigma.parse(text).given == (kind in ("level", "map"))


@given(st.floats(min_value=0, allow_nan=False, allow_infinity=False))
def test_a_number_survives_as_text(level: float) -> None:
    assert Sigma.parse(str(Sigma.parse(level))).level == level


@pytest.mark.parametrize("name", ["auto", "map", "12", "-1", "nan", "sub/map.nii.gz", "map.nii", "$x", "@x", "%x"])
def test_a_path_survives_as_text_also_where_it_looks_like_a_word(name: str) -> None:
    sigma = Sigma.parse(f"./{name}")
    assert sigma.path == Path(name) and Sigma.parse(str(sigma)) == sigma
    assert not str(sigma).startswith(("$", "@", "%"))  # which a bundle's config would evaluate


@pytest.mark.parametrize(
    "sigma",
    [
        Sigma(),
        Sigma(kind="local"),
        Sigma(kind="level", level=np.float64(2)),  # type: ignore[arg-type]
        Sigma(kind="level", level=0),
        Sigma(kind="map", path="map"),  # type: ignore[arg-type]
    ],
)
def test_every_kind_survives_as_text(sigma: Sigma) -> None:
    assert Sigma.parse(str(sigma)) == sigma


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "map"},
        {"kind": "level"},
        {"kind": "map", "level": 3.0},
        {"kind": "level", "level": 3.0, "path": Path("a.nii")},
        {"kind": "auto", "level": 3.0},
        {"kind": "number"},
        {"kind": "level", "level": -3},
        {"kind": "level", "level": float("inf")},
        {"kind": "level", "level": float("nan")},
        {"kind": "level", "level": "3"},
    ],
)
def test_a_sigma_that_cannot_be_is_refused(fields: dict) -> None:
    with pytest.raises(InputError, match=r"^sigma [^\n]*$"):
        Sigma(**fields)


@pytest.mark.parametrize("value", ["-1", -0.5, "nan", "inf", float("nan")])
def test_impossible_levels_are_refused_in_one_line(value: str | float) -> None:
    with pytest.raises(InputError, match=r"^sigma .*: must be a number from 0 on[^\n]*$"):
        Sigma.parse(value)


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ({"strength": 1.5}, "strength 1.5: must lie between 0 and 1"),
        ({"strength": float("nan")}, "strength nan"),
        ({"quality": "good"}, "quality good: must be fast, balanced or best"),
        ({"picture_size": 4}, "picture size 4: must be at least 8"),
        ({"strength": "0.5"}, "strength of type str: must be a number"),
        ({"strength": True}, "strength of type bool: must be a number"),
        ({"guard": "yes"}, "guard of type str: must be True or False"),
        ({"overwrite": 1}, "overwrite of type int: must be True or False"),
        ({"quality": ["fast"]}, "quality of type list: must be fast, balanced or best"),
        ({"picture_size": "256"}, "picture size of type str: must be a whole number"),
        ({"picture_size": 256.5}, "picture size of type float: must be a whole number"),
        ({"device": 0}, "device of type int: must be a name"),
        ({"sigma": None}, "sigma of type NoneType: must be auto"),
        ({"extras": None}, "extras of type NoneType: must be a list of names among residual"),
        ({"extras": ("uncertainty",)}, "extra uncertainty: needs tta"),
        ({"extras": ("guard-map",), "guard": False}, "extra guard-map: needs the guard"),
        ({"extras": ("reziduum",)}, "extra reziduum: not known; choose among residual, noise-map, uncertainty"),
    ],
)
def test_choices_out_of_range_are_refused_in_one_line(choice: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        Settings(**choice)


@pytest.mark.parametrize("value", [np.full((3, 3), 2.0), [1.0, 2.0], object(), b"auto"])
def test_a_map_is_given_as_a_file(value: Any) -> None:
    with pytest.raises(InputError, match="path of a map in a file"):
        Sigma.parse(value)
    assert Sigma.parse(np.float32(2)).level == 2


def test_numbers_of_numpy_become_plain_ones() -> None:
    settings = Settings(strength=np.float32(0.5), picture_size=np.int64(64), tta=np.True_, sigma="5")  # type: ignore
    assert settings == Settings(strength=0.5, picture_size=64, tta=True, sigma=Sigma.parse(5))
    assert [type(value) for value in (settings.strength, settings.picture_size, settings.tta)] == [float, int, bool]


def test_a_bundle_gets_only_what_its_config_names() -> None:
    settings = Settings(sigma=Sigma.parse(5), strength=0.5)
    assert settings.choices({"strength", "device", "network"}) == {"strength": 0.5}
    assert settings.choices({"sigma", "quality"}) == {"sigma": "5", "quality": "balanced"}
    assert Settings() == DEFAULTS and len({DEFAULTS, Settings()}) == 1
