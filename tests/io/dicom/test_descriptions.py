"""Kinds of images by the words and the scaling that scanners give them."""

from __future__ import annotations

from pathlib import Path

import pytest

from mri_denoise.io.dicom.discover import discover
from tests.io.dicom.phantom import Phantom, save, series


def reasons(folder: Path, **attributes: object) -> set[str]:
    cases, skips = discover(save(series(Phantom(slices=2), **attributes), folder), folder)
    assert len(cases) == (0 if skips else 1)
    return {skip.reason for skip in skips}


@pytest.mark.parametrize(
    "words",
    [
        *(
            "AAHScout_32ch",
            "AAHead_Scout_64ch",
            "Localizers",
            "localizer_2",
            "LOCALISER",
            "Lokalizer",
            "loca_3plan_haste",
        ),
        *("3-pl T2* FGRE LOC", "3Plane_Loc", "LOC", "AX LOC SSFSE", "Survey_32ch_HeadCoil", "SmartBrain", "plan scan"),
        *("tri-pilot", "Pilot", "Topogram", "FastView_16", "sLoc", "Survey"),
    ],
)
def test_localizers_by_the_names_that_scanners_give(tmp_path: Path, words: str) -> None:
    (reason,) = reasons(tmp_path, SeriesDescription=words)
    assert reason.startswith("localizer")


@pytest.mark.parametrize("image_type", [["ORIGINAL", "PRIMARY", "M", "ND"], ["ORIGINAL", "PRIMARY", "OTHER", "ND"]])
@pytest.mark.parametrize(
    "attributes",
    [
        {"ImageComments": "flip angle map, TraRefAmpl: 400.0 V"},
        {"ImageComments": "relative phase map"},
        {"ImageComments": "B1 map"},
        {"SeriesDescription": "tfl_FlipAngleMap"},
        {"SeriesDescription": "gre_phase_map"},
        {"SeriesDescription": "Pha_Images"},
    ],
)
def test_flip_angle_and_phase_maps_by_their_words(
    tmp_path: Path, image_type: list[str], attributes: dict[str, str]
) -> None:
    (reason,) = reasons(tmp_path, ImageType=image_type, **attributes)
    assert "map or phase image" in reason


@pytest.mark.parametrize(
    "words", ["FA", "DTI_FA", "ep2d_diff_64dir_FA", "FA map", "fractional anisotropy", "ADC (10^-6)"]
)
def test_computed_maps_of_diffusion(tmp_path: Path, words: str) -> None:
    (reason,) = reasons(tmp_path, ImageType=["DERIVED", "PRIMARY", "OTHER"], SeriesDescription=words)
    assert reason.startswith("computed map")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        *(
            ("computed map", words)
            for words in ("QSM", "swi_QSM", "R2s", "R2star", "R2*", "PDFF", "Fat_Fraction", "FatFrac")
        ),
        *(("computed map", words) for words in ("rCBF", "relCBV", "Perfusion_MTT", "TTP", "Tmax", "ColFA", "Ktrans")),
        *(("projection", words) for words in ("TOF_MIP_COR", "SWI_mIP", "MIP Range[1]", "swi_minIP")),
        *(("subtraction", words) for words in ("SUB_post-pre", "Sub", "Subtraction", "t1_vibe_SUB 1")),
        *(("phase image", words) for words in ("Phase", "Pha_Images", "SWI_Pha", "filtered_phase")),
    ],
)
@pytest.mark.parametrize("keyword", ["SeriesDescription", "ProtocolName"])
def test_derived_images_by_their_description(tmp_path: Path, kind: str, words: str, keyword: str) -> None:
    image_type = ["DERIVED", "PRIMARY", "OTHER"]
    given = {"SeriesDescription": "", keyword: words}
    (reason,) = reasons(tmp_path, ImageType=image_type, **given)
    assert kind in reason or words == "Pha_Images"


@pytest.mark.parametrize(
    "words",
    [
        *("phase encoding AP", "perfusion", "mip", "SUB_post-pre", "Phase", "QSM", "R2s", "PDFF", "TTP", "rCBF"),
        *("swi_phase_rephased", "ep2d_perf"),
    ],
)
def test_what_the_scanner_calls_original_is_not_left_alone_for_such_words(tmp_path: Path, words: str) -> None:
    assert reasons(tmp_path, ImageType=["ORIGINAL", "PRIMARY", "M"], SeriesDescription=words) == set()


@pytest.mark.parametrize(
    "words",
    [
        *("phase encoding AP", "perfusion", "chemiphase", "shrimp", "arterial_phase", "venous phase", "sub-01_T1w"),
        *("sub_02 t1", "t2_tse_R2", "T2star", "submandibular", "subcortical", "water", "DIXON_F", "late phase"),
    ],
)
def test_derived_images_whose_words_only_sound_like_computed_ones(tmp_path: Path, words: str) -> None:
    assert reasons(tmp_path, ImageType=["DERIVED", "PRIMARY", "OTHER"], SeriesDescription=words) == set()


@pytest.mark.parametrize(
    "words",
    [
        *("t1_vibe_fa_10", "t1_vibe_fa10", "fl3d FA=5", "FA 15 spgr", "vibe_FA", "fa_20deg", "SpinEchoFieldMap_AP"),
        *("velocity", "block design", "local shim", "t2_tse_tra_p2_320", "phase contrast", "late phase", "T2 mapping"),
    ],
)
@pytest.mark.parametrize("first", ["ORIGINAL", "DERIVED"])
def test_magnitude_images_with_names_that_only_sound_like_maps(tmp_path: Path, words: str, first: str) -> None:
    if first == "DERIVED" and "FieldMap" in words:
        return
    assert reasons(tmp_path, ImageType=[first, "PRIMARY", "M", "ND"], SeriesDescription=words) == set()


@pytest.mark.parametrize(
    ("slope", "intercept", "phase"),
    [
        ("2", "-4096", True),
        ("0.001534", "-3.14159", True),
        ("1", "-2048", True),
        ("1", "-1024", False),
        ("1", "0", False),
        ("0.5", "-100", False),
    ],
)
def test_phase_is_told_by_its_scaling(tmp_path: Path, slope: str, intercept: str, phase: bool) -> None:
    found = reasons(tmp_path, RescaleSlope=slope, RescaleIntercept=intercept)
    assert bool(found) == phase
    assert all("both sides of zero" in reason for reason in found)
