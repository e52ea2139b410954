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
from mri_denoise.benchmarks.references import Reference
from mri_denoise.benchmarks.safety import averaging, clean, fine, lesions, nothing, residual, symmetry, tissue
from mri_denoise.benchmarks.safety.findings import Finding
from mri_denoise.benchmarks.safety.plan import Head, Plan
from mri_denoise.benchmarks.safety.scene import Scene
from mri_denoise.errors import InputError, OutputError, reason

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


def measure_draws(method: Method, head: Head, plan: Plan) -> list[Finding]:
    """Denoise each draw of noise with and without round lesions, and measure all that needs no more than that."""
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


def measure_real_draws(method: Method, scene: Scene) -> list[Finding]:
    """Denoise each draw of noise on a real volume, and measure tissue and repeatability."""
    fitted = scene.fit(method)
    results = [fitted(scene.noisy(scene.truth, draw), scene.sigma) for draw in range(scene.plan.draws)]
    return tissue.measure_real(scene, results)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A part of the benchmark on one image, which is computed, and kept, by itself.

    Args:
        part: one of :data:`PARTS`.
        scene: makes the scene of a real volume; None for the phantom.
        label: of that volume.
        image: digest of its file.
    """

    part: str
    scene: Callable[[Head, Plan], Scene] = Scene.of_head
    label: str = ""
    image: str = ""

    @property
    def name(self) -> str:
        """In messages, pictures and the cache."""
        return f"{self.part}, {self.label}" if self.label else self.part

    def run(self, method: Method, head: Head, plan: Plan) -> Measured:
        """Measure a method."""
        if self.part == NOISE:
            found, shown = nothing.measure(method, plan)
            return Measured(findings=found, slice=shown)
        if self.part == FINE:
            found, shown = fine.measure(method, self.scene(head, plan))
            return Measured(findings=found, slice=shown)
        if self.part == DRAWS and self.label:
            return Measured(findings=measure_real_draws(method, self.scene(head, plan)))
        if self.part == MIRROR:
            return Measured(findings=averaging.measure(method, self.scene(head, plan)))
        return Measured(findings=_ON_PHANTOM[self.part](method, head, plan))


NOISE, DRAWS, FINE, MIRROR = "noise", "draws", "fine", "mirror"
_ON_PHANTOM: Mapping[str, Callable[[Method, Head, Plan], Sequence[Finding]]] = {
    "clean": clean.measure,
    DRAWS: measure_draws,
    "symmetry": symmetry.measure,
}
PARTS = ("clean", NOISE, DRAWS, "symmetry", FINE, MIRROR)


def choose_parts(wanted: Sequence[str]) -> Sequence[str]:
    """The parts that are wanted; all for none.

    Raises:
        InputError: for a name that no part has.
    """
    unknown = [name for name in wanted if name not in PARTS]
    if unknown:
        raise InputError(f"part {unknown[0]}: not known; choose among {', '.join(PARTS)}.")
    return tuple(wanted) or PARTS


def _stages_of(reference: Reference, parts: Sequence[str]) -> list[Stage]:
    """The stages of a real volume."""

    def scene(head: Head, plan: Plan) -> Scene:
        return Scene.of_volume(reference.label, reference.load(plan.slices), plan.on_real)

    shared = [part for part in (DRAWS, FINE, MIRROR) if part in parts]
    return [Stage(part=part, scene=scene, label=reference.label, image=reference.sha256) for part in shared]


def run_safety(
    methods: Sequence[Method],
    plan: Plan,
    folder: Path,
    *,
    parts: Sequence[str] = PARTS,
    volumes: Sequence[Reference] = (),
    progress: Progress = SILENT,
) -> Results:
    """Measure methods.

    Args:
        methods: what is compared.
        plan: the choices of the run.
        folder: of the cache; what is there is not computed again.
        parts: which of :data:`PARTS` are measured.
        volumes: real volumes on which tissue, fine structure and mirror images are measured, too.
        progress: shows which part is computed.

    Raises:
        OutputError: if a result cannot be written.
    """
    cache, head = ResultCache(folder), Head.draw(plan.shape)
    stages = [Stage(part=part) for part in parts]
    stages += [stage for reference in volumes for stage in _stages_of(reference, parts)]
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
        if stage.name not in done.slices:
            continue
        if stage.part == NOISE:
            done.truths[stage.name] = nothing.truth(plan)
        else:
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
