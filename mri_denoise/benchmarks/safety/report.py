"""What ``benchmark safety`` writes: ``safety.md``, ``safety.csv`` and ``safety.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType

from mri_denoise import record
from mri_denoise.benchmarks.baselines import Method
from mri_denoise.benchmarks.methods import Methods
from mri_denoise.benchmarks.safety.findings import LIMITS, Finding
from mri_denoise.benchmarks.safety.pictures import draw_slices
from mri_denoise.benchmarks.safety.plan import Plan
from mri_denoise.benchmarks.safety.run import Failure, Results
from mri_denoise.report import text

Found = Mapping[str, Sequence[Finding]]


def write_report(methods: Methods, results: Results, plan: Plan, output: Path) -> dict[str, object]:
    """Write the tables, one row a number, the pictures and the record.

    Args:
        methods: what was compared, and what is absent.
        results: what was measured, and what failed.
        plan: the choices of the run.
        output: the folder.

    Returns:
        the record.

    Raises:
        OutputError: if a file cannot be written.
    """
    run, found, failures = record.run(), results.findings, results.failures
    labels = {method.name: method.label for method in methods.found}
    pictures = {}
    for number, (name, slices) in enumerate(results.slices.items()):
        shown = {labels[method]: image for method, image in slices.items()}
        pictures[name] = draw_slices(results.truths[name], shown, output / f"slices_{number}.png")
    rows = [{"method": name, **asdict(finding)} for name, findings in found.items() for finding in findings]
    done: dict[str, object] = run | {
        "settings": asdict(plan),
        "methods": [{"name": m.name, "label": m.label, "ours": m.ours, **m.describe()} for m in methods.found],
        "absent": methods.absent,
        "failed": [asdict(failure) for failure in failures],
        "pictures": {name: path.name for name, path in pictures.items()},
        "beyond": [{"method": method.name, **asdict(finding)} for method, finding in beyond(methods, found)],
        "results": rows,
    }
    text.write_csv(rows, output / "safety.csv")
    page = markdown(methods, found, failures, plan, record.describe(run["machine"]), pictures)
    text.write_text(page, output / "safety.md")
    record.write_record(done, output / "safety.json")
    return done


def beyond(methods: Methods, found: Found) -> list[tuple[Method, Finding]]:
    """The findings of ours that lie beyond their limit."""
    return [
        (method, finding)
        for method in methods.found
        if method.ours
        for finding in found[method.name]
        if finding.measure in LIMITS and not LIMITS[finding.measure].holds(finding)
    ]


def markdown(
    methods: Methods,
    found: Found,
    failures: Sequence[Failure],
    plan: Plan,
    machine: str,
    pictures: Mapping[str, Path] = MappingProxyType({}),
) -> str:
    """One table a part, the pictures, then what lies beyond a limit, and what is missing.

    Args:
        methods: what was compared, and what is absent.
        found: the findings of each method by its name.
        failures: what failed.
        plan: the choices of the run.
        machine: where it ran, in words.
        pictures: of noise alone and of the objects in a scene, by the name of the stage.
    """
    shown = [method for method in methods.found if found[method.name]]
    parts = ["# Safety", _facts(plan), machine + "."]
    for part in dict.fromkeys(finding.part for findings in found.values() for finding in findings):
        parts += [f"## {part[0].upper()}{part[1:]}", _table(part, shown, found)]
    if pictures:
        words = "truth and results, with the error of each"
        drawn = (f"{name}: {words}.\n\n![{name}]({path.name})" for name, path in pictures.items())
        parts += ["## Pictures", *drawn]
    worse = beyond(methods, found)
    lines = (
        f"{method.label}: {f.part}, {f.case}, {f.measure}: {_cell(f)}, limit {LIMITS[f.measure]}" for method, f in worse
    )
    parts += ["## Beyond a limit", text.bullets(lines) if worse else "None of ours."]
    if methods.absent:
        parts += ["## Absent", text.bullets(f"{label}: {hint}" for label, hint in methods.absent.items())]
    if failures:
        parts += ["## Failed", text.bullets(f"{f.method}, {f.stage}: {f.reason}" for f in failures)]
    return "\n\n".join(parts) + "\n"


def _facts(plan: Plan) -> str:
    shape = " x ".join(str(n) for n in plan.shape)
    return (
        f"Head phantom of {shape} voxels, T1-weighted; Rician noise of {plan.level:g} % of its maximum, "
        f"seed {plan.seed}, {plan.draws} draws. Means over the draws with their standard error. "
        'The true sigma is given, except for "clean", where it is estimated. '
        "Limits are for ours, give or take two standard errors."
    )


def _table(part: str, methods: Sequence[Method], found: Found) -> str:
    """A row for each case and measure, a column for each method."""
    cells: dict[tuple[str, str], dict[str, Finding]] = {}
    for method in methods:
        for finding in found[method.name]:
            if finding.part == part:
                cells.setdefault((finding.measure, finding.case), {})[method.name] = finding
    order = list(dict.fromkeys(measure for measure, _ in cells))
    rows = []
    for (measure, case), of in sorted(cells.items(), key=lambda item: order.index(item[0][0])):
        limit = str(LIMITS[measure]) if measure in LIMITS else ""
        rows.append([measure, case, *(_cell(of[m.name]) if m.name in of else "-" for m in methods), limit])
    return text.markdown_table(["measure", "of", *(method.label for method in methods), "limit"], rows)


def _cell(finding: Finding) -> str:
    if finding.value is None:
        return "-"
    error = "" if finding.error is None else f" +- {finding.error:.2g}"
    return f"{finding.value:.3g}{error}"
