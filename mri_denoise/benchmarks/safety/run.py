"""Measure every method in every part."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mri_denoise.benchmarks.baselines import Method
from mri_denoise.benchmarks.cache import Json, ResultCache
from mri_denoise.benchmarks.progress import SILENT, Progress
from mri_denoise.benchmarks.safety import clean, lesions, nothing, residual, symmetry, tissue
from mri_denoise.benchmarks.safety.findings import Finding
from mri_denoise.benchmarks.safety.plan import Head, Plan
from mri_denoise.errors import OutputError, reason


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A part that is missing for a method because something failed.

    Args:
        method: its name.
        stage: which part or parts.
        reason: one line.
    """

    method: str
    stage: str
    reason: str


def measure_draws(method: Method, head: Head, plan: Plan) -> list[Finding]:
    """Denoise each draw of noise with and without lesions, and measure all that needs no more than that."""
    sites = lesions.choose_sites(head, plan)
    ill = lesions.insert(head, sites, plan.sigma)
    noisy, present, absent = [], [], []
    for draw in range(plan.draws):
        noisy.append(head.noisy(head.truth, plan, draw))
        absent.append(method(noisy[-1], plan.sigma))
        present.append(method(head.noisy(ill, plan, draw), plan.sigma))
    return [
        *lesions.measure(head, plan, sites, present, absent),
        *tissue.measure(head, absent),
        *residual.measure(head, plan, noisy, absent),
    ]


STAGES: Mapping[str, Callable[[Method, Head, Plan], list[Finding]]] = {
    "clean": clean.measure,
    "noise alone": lambda method, head, plan: nothing.measure(method, plan),
    "draws of noise": measure_draws,
    "symmetry": symmetry.measure,
}


def run_safety(
    methods: Sequence[Method], plan: Plan, folder: Path, progress: Progress = SILENT
) -> tuple[dict[str, list[Finding]], list[Failure]]:
    """Measure methods.

    Args:
        methods: what is compared.
        plan: the choices of the run.
        folder: of the cache; what is there is not computed again.
        progress: shows which part is computed.

    Returns:
        the findings of each method by its name, and what failed.

    Raises:
        OutputError: if a result cannot be written.
    """
    cache, head = ResultCache(folder), Head.draw(plan.shape)
    found: dict[str, list[Finding]] = {method.name: [] for method in methods}
    failures = []
    with progress.stage("", len(methods) * len(STAGES)) as step:
        for method in methods:
            for stage in STAGES:
                step(0, f"{method.label}: {stage}")
                try:
                    found[method.name] += _stage(stage, head.fit(method), head, plan, cache)
                except OutputError:
                    raise
                except Exception as error:  # whatever the library of a rival raises: the others go on
                    failures.append(Failure(method=method.name, stage=stage, reason=reason(error)))
                step()
    return found, failures


def _stage(name: str, method: Method, head: Head, plan: Plan, cache: ResultCache) -> list[Finding]:
    """The findings of a stage from the cache, or new ones."""
    key: dict[str, Json] = {"benchmark": "safety", "stage": name, "plan": repr(plan), **method.identity()}

    def make() -> Json:
        method.load()
        return [_plain(finding) for finding in STAGES[name](method, head, plan)]

    stored: Any = cache.recall(key, make)
    return [Finding(**values) for values in stored]


def _plain(finding: Finding) -> Json:
    """A finding as JSON: numbers that are none become null."""
    values = asdict(finding)
    return {k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in values.items()}
