"""Measure every method in every part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mri_denoise.benchmarks.baselines import Method
from mri_denoise.benchmarks.cache import Json, ResultCache
from mri_denoise.benchmarks.progress import SILENT, Progress
from mri_denoise.benchmarks.references import Reference
from mri_denoise.benchmarks.safety import averaging, clean, fine, lesions, nothing, residual, symmetry, tissue
from mri_denoise.benchmarks.safety.findings import Finding
from mri_denoise.benchmarks.safety.plan import FULL, Head, Plan
from mri_denoise.benchmarks.safety.scene import Scene
from mri_denoise.errors import OutputError, reason

_DIGITS = 2  # of a slice in units of sigma


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a stage gives.

    Args:
        findings: its numbers.
        slice: of the first result of a scene in units of sigma, where there is a scene.
    """

    findings: Sequence[Finding]
    slice: np.ndarray | None = None


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


@dataclass(frozen=True, kw_only=True)
class Results:
    """What was measured.

    Args:
        findings: of each method by its name.
        slices: of each scene by the name of its stage: a slice of each method's result by its name.
        truths: the same slice of each scene itself.
        failures: what failed.
    """

    findings: dict[str, list[Finding]]
    slices: dict[str, dict[str, np.ndarray]]
    truths: dict[str, np.ndarray]
    failures: list[Failure]


def measure_draws(method: Method, head: Head, plan: Plan) -> Measured:
    """Denoise each draw of noise with and without round lesions, and measure all that needs no more than that."""
    sites = lesions.choose_sites(head, plan)
    ill = lesions.insert(head, sites, plan.sigma)
    noisy, present, absent = [], [], []
    for draw in range(plan.draws):
        noisy.append(head.noisy(head.truth, plan, draw))
        absent.append(method(noisy[-1], plan.sigma))
        present.append(method(head.noisy(ill, plan, draw), plan.sigma))
    found = [
        *lesions.measure(head, plan, sites, present, absent),
        *tissue.measure(head, absent),
        *residual.measure(head, plan, noisy, absent),
    ]
    return Measured(findings=found)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A part of the benchmark that is computed, and kept, by itself.

    Args:
        name: in messages, pictures and the cache.
        measure: computes it; by default what is measured of a scene.
        scene: makes the scene, where it is one.
        image: digest of the file that it is measured on; empty for the phantom.
    """

    name: str
    measure: Callable[[Method, Head, Plan], Measured] | None = None
    scene: Callable[[Head, Plan], Scene] | None = None
    image: str = ""

    def run(self, method: Method, head: Head, plan: Plan) -> Measured:
        """Measure a method."""
        if self.measure is not None:
            return self.measure(method, head, plan)
        assert self.scene is not None
        scene = self.scene(head, plan)
        found, shown = fine.measure(method, scene)
        return Measured(findings=[*found, *averaging.measure(method, scene)], slice=shown)


STAGES = (
    Stage(name="clean", measure=lambda m, head, plan: Measured(findings=clean.measure(m, head, plan))),
    Stage(name="noise alone", measure=lambda m, head, plan: Measured(findings=nothing.measure(m, plan))),
    Stage(name="draws", measure=measure_draws),
    Stage(name="fine structure", scene=Scene.of_head),
    Stage(name="symmetry", measure=lambda m, head, plan: Measured(findings=symmetry.measure(m, head, plan))),
)


def stage_of(reference: Reference) -> Stage:
    """The stage of a real volume."""

    def scene(head: Head, plan: Plan) -> Scene:
        return Scene.of_volume(reference.label, reference.load(plan.slices), replace(plan, diameters=FULL.diameters))

    return Stage(name=reference.label, scene=scene, image=reference.sha256)


def run_safety(
    methods: Sequence[Method],
    plan: Plan,
    folder: Path,
    volumes: Sequence[Reference] = (),
    progress: Progress = SILENT,
) -> Results:
    """Measure methods.

    Args:
        methods: what is compared.
        plan: the choices of the run.
        folder: of the cache; what is there is not computed again.
        volumes: real volumes on which fine structure is measured, too.
        progress: shows which part is computed.

    Raises:
        OutputError: if a result cannot be written.
    """
    cache, head = ResultCache(folder), Head.draw(plan.shape)
    stages = [*STAGES, *map(stage_of, volumes)]
    done = Results(findings={method.name: [] for method in methods}, slices={}, truths={}, failures=[])
    with progress.stage("", len(methods) * len(stages)) as step:
        for method in methods:
            for stage in stages:
                step(0, f"{method.label}: {stage.name}")
                try:
                    measured = _compute(stage, head.fit(method), head, plan, cache)
                except OutputError:
                    raise
                except Exception as error:  # whatever the library of a rival raises: the others go on
                    done.failures.append(Failure(method=method.name, stage=stage.name, reason=reason(error)))
                else:
                    done.findings[method.name] += measured.findings
                    if measured.slice is not None:
                        done.slices.setdefault(stage.name, {})[method.name] = measured.slice
                step()
    for stage in stages:
        if stage.name in done.slices and stage.scene is not None:
            scene = stage.scene(head, plan)
            done.truths[stage.name] = scene.cut(scene.image)
    return done


def _compute(stage: Stage, method: Method, head: Head, plan: Plan, cache: ResultCache) -> Measured:
    """A stage from the cache, or a new one."""
    key: dict[str, Json] = {"benchmark": "safety", "stage": stage.name, "image": stage.image, "plan": repr(plan)}

    def make() -> Json:
        method.load()
        measured = stage.run(method, head, plan)
        shown = None if measured.slice is None else measured.slice.round(_DIGITS).tolist()
        return {"findings": [_plain(finding) for finding in measured.findings], "slice": shown}

    stored: Any = cache.recall({**key, **method.identity()}, make)
    shown = None if stored["slice"] is None else np.array(stored["slice"], dtype=np.float32)
    return Measured(findings=[Finding(**values) for values in stored["findings"]], slice=shown)


def _plain(finding: Finding) -> Json:
    """A finding as JSON: numbers that are none become null."""
    values = asdict(finding)
    return {k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in values.items()}
