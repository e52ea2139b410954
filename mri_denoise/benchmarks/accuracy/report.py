"""What a benchmark leaves in its folder: CSV, tables, figures and a record from which it can be repeated."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mri_denoise import record as provenance
from mri_denoise.benchmarks.accuracy.figures import write_figures
from mri_denoise.benchmarks.accuracy.run import Failure, Score
from mri_denoise.benchmarks.accuracy.tables import Table, markdown, write_csv
from mri_denoise.benchmarks.methods import Method, Methods
from mri_denoise.benchmarks.references import Reference
from mri_denoise.report.text import write_text


def write_report(
    references: Sequence[Reference],
    methods: Methods,
    scores: Sequence[Score],
    failures: Sequence[Failure],
    output: Path,
    settings: dict[str, Any],
) -> dict[str, Any]:
    """Write ``results.csv``, ``bias.csv``, ``tables.md``, ``psnr.png``, ``time.png``, ``bias.png`` and ``record.json``.

    Args:
        references: the truth.
        methods: what was compared, and what is absent.
        scores: at least one.
        failures: what could not be had.
        output: the folder.
        settings: ``seed``, ``middle`` and whatever else the run was given.

    Returns:
        the record.

    Raises:
        OutputError: if something cannot be written.
    """
    table = Table(scores, methods.found)
    run = provenance.run()
    files = [*write_csv(table, output), *write_figures(table, output)]
    facts = _facts(settings, run["machine"])
    files.append(write_text(markdown(table, methods.absent, failures, facts), output / "tables.md"))
    record = run | {
        "settings": settings | {"levels": table.levels},
        "references": [{"label": r.label, "contrast": r.contrast, "sha256": r.sha256} for r in references],
        "methods": [_describe(method) for method in methods.found],
        "absent": methods.absent,
        "failed": [vars(failure) for failure in failures],
        "results": [{k: v for k, v in vars(score).items() if k != "bias"} for score in scores],
        "files": [str(path) for path in files],
    }
    provenance.write_record(record, output / "record.json")
    return record


def _describe(method: Method) -> dict[str, Any]:
    known: dict[str, Any] = {"name": method.name, "label": method.label, "ours": method.ours}
    if method.model is not None:
        return known | {"weights_sha256": method.model.model.weights_sha256, "device": method.model.device}
    assert method.denoiser is not None
    return known | {"made_by": method.denoiser.implementation()}


def _facts(settings: dict[str, Any], here: dict[str, Any]) -> list[str]:
    part = "whole volumes" if settings.get("middle") is None else f"the middle {settings['middle']} slices"
    return [
        f"Rician noise of seed {settings.get('seed', 0)} on {part}; sigma in percent of the maximum R. PSNR with the "
        "peak R and mean SSIM (3D, Gaussian window of 1.5 voxels, range R) over the head (above 10/255 R). The true "
        "sigma is given unless a line says otherwise (ANTs takes none). Three planes where voxels are nearly "
        "isotropic, else one. Best in bold; what ours is short of the best rival in brackets.",
        f"{provenance.describe(here)}. Times of a cached result are those of the run that made it.",
    ]
