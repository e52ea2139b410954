"""``mri-denoise doctor``."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from mri_denoise.cli import common
from mri_denoise.cli.json_output import json_option, print_json


def doctor(as_json: Annotated[bool, json_option()] = False) -> None:
    """Check the installation: libraries, weights, device, filter, temporary folder, and a result that is known.

    Exit code 1 if something is broken.
    """
    from mri_denoise.doctor import examine
    from mri_denoise.runtime import quiet

    checks = []
    with quiet(), common.busy("checking the installation"):
        for check in examine():
            checks.append(check)
            if not as_json:
                print(f"{check.status:8} {check.name}: {check.found}")
                if check.advice:
                    print(f"{'':8} {check.advice}")
    broken = [check for check in checks if check.status == "broken"]
    if as_json:
        print_json({"ok": not broken, "checks": [dataclasses.asdict(check) for check in checks]})
    else:
        print(f"{len(broken)} broken." if broken else "Everything that denoising needs is there and works.")
    raise typer.Exit(common.SOME_FAILED if broken else common.DONE)
