"""``mri-denoise models``."""

from __future__ import annotations

from typing import Annotated

from mri_denoise.cli.json_output import json_option, print_json


def models(as_json: Annotated[bool, json_option()] = False) -> None:
    """List the models that ship with the package."""
    from mri_denoise.bundles.registry import shipped

    found = shipped()
    if as_json:
        print_json(
            [
                {"model": short, "name": b.name, "version": b.version, "task": b.task, "folder": str(b.folder)}
                for short, b in found.items()
            ]
        )
        return
    for short, bundle in found.items():
        print(f"{short:12} {bundle.name} {bundle.version}: {bundle.task}\n{'':12} {bundle.folder}")
