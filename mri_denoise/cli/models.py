"""``mri-denoise models``."""

from __future__ import annotations

from typing import Annotated

import typer

from mri_denoise.cli import common


def models(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the models that ship with the package."""
    from mri_denoise.bundles.registry import shipped

    found = shipped()
    if as_json:
        common.print_json(
            [
                {"model": short, "name": b.name, "version": b.version, "task": b.task, "folder": str(b.folder)}
                for short, b in found.items()
            ]
        )
        return
    for short, bundle in found.items():
        print(f"{short:12} {bundle.name} {bundle.version}: {bundle.task}\n{'':12} {bundle.folder}")
