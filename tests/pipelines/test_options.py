"""Each option of the command is in each description of it, or is left out for a reason: none is forgotten."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

import pytest
import typer

from mri_denoise.cli.main import app
from tests.pipelines.stand_in import ROOT

PIPELINES = ROOT / "pipelines"
ONE = "is for many images, and this is given one"
DICOM = "is for DICOM, and this is given a NIfTI file"
PRINTS = "is for who reads what is printed"
UNSEEN = "would write a file that nobody sees"
FIXED = "is set by the module itself"
SERIES = {
    "guard_map": "the platform takes the series alone",
    "picture_size": "is for pictures, and this is given series",
    "to_nifti": "the platform takes DICOM back",
    "plain_names": "the platform takes the files, and names folders itself",
    "share": ONE,
}
VOLUME = {
    "guard_map": "is for who looks at the guard itself, at a terminal",
    "picture_size": "is for pictures, and this is given a volume",
    "keep_vendor_headers": DICOM,
    "to_nifti": DICOM,
    "plain_names": DICOM,
    "jobs": ONE,
    "scheduler": ONE,
    "share": ONE,
    "as_json": PRINTS,
}
LEFT_OUT: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "boutiques/mri-denoise.json": (
        "bids",
        {
            "scheduler": "who starts the tool says where it runs",
            "share": "who starts the tool says which participants",
            "work_dir": "has no effect",
            "bids_database_dir": "has no effect",
            "dry_run": PRINTS,
            "as_json": PRINTS,
            "version": PRINTS,
        },
    ),
    "nipype/mri_denoise_nipype.py": ("denoise", VOLUME),
    "pydra/mri_denoise_pydra.py": ("denoise", VOLUME),
    "slicer/MRIDenoise.xml": (
        "denoise",
        {
            **VOLUME,
            **dict.fromkeys(("residual", "noise_map", "figure", "report"), UNSEEN),
            "force": "a volume of Slicer says nothing of what it is",
            "trust": "who trusts a bundle should see its folder first",
            "overwrite": FIXED,
        },
    ),
    "container/entrypoint.py": (  # what a module of mercure may set; everything else is handed on
        "denoise",
        {
            **SERIES,
            **dict.fromkeys(("residual", "noise_map", "figure", "report"), "mercure takes the series alone"),
            **dict.fromkeys(("jobs", "scheduler"), "mercure gives a container what it may take"),
            "trust": "is code: who builds the image decides, by MRI_DENOISE_OPTIONS",
            "overwrite": "the folder is new",
            "as_json": FIXED,
        },
    ),
    "container/xnat.json": (
        "denoise",
        {
            **SERIES,
            **dict.fromkeys(("residual", "noise_map", "figure", "report"), "only the series becomes a resource"),
            **dict.fromkeys(("model", "trust"), "a bundle would have to lie in the image"),
            **dict.fromkeys(("device", "jobs", "scheduler"), "who runs XNAT's containers decides"),
            "keep_vendor_headers": "a site decides that for all its scans",
            "force": "who starts it at a scan may not see what it is",
            "overwrite": "the folder is new",
            "as_json": PRINTS,
        },
    ),
}


def options(command: str) -> dict[str, str]:
    """The options of a command: flag, and the name of what it sets."""
    found = typer.main.get_command(app).commands[command].params  # type: ignore[attr-defined]
    return {
        flag: parameter.name
        for parameter in found
        for flag in [*parameter.opts, *parameter.secondary_opts]
        if flag.startswith("-") and parameter.name != "help"
    }


def offered(name: str) -> set[str]:
    """The flags that a description names."""
    text = (PIPELINES / name).read_text(encoding="utf-8")
    if name.endswith("entrypoint.py"):
        chosen = text[text.index("MERCURE_SETTINGS") : text.index("@dataclass")]
        return {f"--{found}" for found in re.findall(r'"(?:--)?(?:no-)?([a-z-]+)"', chosen)}
    if name.endswith("xnat.json"):
        command = json.loads(text)
        switches = [entry.get(key, "") for entry in command["inputs"] for key in ("true-value", "false-value")]
        text = " ".join([command["command-line"], *switches])
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)) - {"--xml"}


@pytest.mark.parametrize("name", LEFT_OUT)
def test_each_option_is_offered_or_left_out_for_a_reason(name: str) -> None:
    command, left_out = LEFT_OUT[name]
    known = options(command)
    flags = offered(name)
    assert flags <= known.keys(), "flags that the command does not have"
    there = {known[flag] for flag in flags}
    assert not there & left_out.keys(), "both offered and left out"
    assert there | left_out.keys() == set(known.values()), "offer it, or say here why not"
