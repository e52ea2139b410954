"""The paper's experiment with other data: Tables 2, 3 and 4, Figures 7, 8, 11 and 12."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from mri_denoise.benchmarks.baselines import NOISY, Method
from mri_denoise.benchmarks.cache import ResultCache
from mri_denoise.benchmarks.methods import load_methods
from mri_denoise.benchmarks.paper import tables
from mri_denoise.benchmarks.paper.ablation import ABLATION, Training
from mri_denoise.benchmarks.paper.experiment import Experiment, Results
from mri_denoise.benchmarks.paper.figures import draw_comparisons, draw_single_images, single_set
from mri_denoise.benchmarks.paper.images import GreyImage, dataset_slices, pictures, spread_slices
from mri_denoise.benchmarks.paper.methods import HMAD, HMAD_ALIKE, candidates, trained_method
from mri_denoise.benchmarks.paper.report import write_report
from mri_denoise.benchmarks.paper.scores import ImageScore, ImageSet, score_method
from mri_denoise.benchmarks.progress import SILENT, Progress
from mri_denoise.errors import InputError
from mri_denoise.report.text import write_csv

NOISE_SEED = 0
ScoreSet = Callable[[ImageSet, Sequence[Method]], list[ImageScore]]


def run_experiment(experiment: Experiment, progress: Progress = SILENT) -> dict[str, object]:
    """Run what is not in the output folder yet, and write tables, figures, report and record.

    Args:
        experiment: what is run.
        progress: shows how far the run is.

    Returns:
        the record.

    Raises:
        InputError: if data or weights cannot be used, or there are no images.
    """
    output, densities = experiment.output, experiment.densities
    if experiment.dataset is None and experiment.images is None:
        raise InputError("benchmark paper: give a prepared data set, a folder of pictures (--images), or both.")
    sets = _image_sets(experiment, progress)
    training = _training(experiment)
    first, device = experiment.seeds[0], experiment.device
    methods = load_methods(candidates(experiment.bundle, training, first, device, experiment.skip, progress))
    hmad = methods.by_name[HMAD]
    cache = ResultCache(output / "cache")

    def score(images: ImageSet, compared: Sequence[Method]) -> list[ImageScore]:
        return _score(images, compared, densities, cache, progress)

    compared = {name: score(sets[name], methods.found) for name in ("pictures", "compared") if name in sets}
    side_by_side = {name: tables.table_2(found, methods.found) for name, found in compared.items()}
    slices = score(sets["slices"], [NOISY, hmad]) if "slices" in sets else []
    ablated: list[ImageScore] = []
    if training is not None:
        ablated = _ablate(training, sets["compared"], experiment.seeds, device, score, progress)
    scores = [*compared.get("pictures", []), *compared.get("compared", []), *slices, *ablated]
    early = methods.by_name.get(HMAD_ALIKE)
    figures = draw_comparisons(sets, hmad, early, densities, output / "figures")
    middle = sorted(densities)[len(densities) // 2]
    singles, chart = draw_single_images(sets[single_set(sets)], scores, HMAD, middle, output / "figures")
    results = Results(
        methods=methods,
        scores=scores,
        counts={name: len(one.images) for name, one in sets.items()},
        pictures=side_by_side.get("pictures", []),
        table_2=side_by_side.get("compared", []),
        table_3=tables.table_3(slices, HMAD),
        table_4=tables.table_4(ablated, ABLATION, experiment.seeds) if ablated else [],
        figure_12=singles,
        figures=figures | chart,
    )
    _write_tables(results, output)
    return write_report(experiment, results)


def _image_sets(experiment: Experiment, progress: Progress) -> dict[str, ImageSet]:
    """The pictures, the slices of Tables 2 and 4 (test volumes alone) and those of Table 3."""
    images: dict[str, list[GreyImage]] = {}
    if experiment.images is not None:
        images["pictures"] = pictures(experiment.images, experiment.pictures)
    if experiment.dataset is not None:
        with progress.stage("reading test and validation volumes") as step:
            volumes = dataset_slices(experiment.dataset, step)
        images["compared"] = spread_slices(volumes["test"], experiment.compared)
        images["slices"] = spread_slices(volumes["test"] + volumes["validation"], experiment.slices)
    return {name: ImageSet(name=name, images=found, seed=NOISE_SEED) for name, found in images.items()}


def _training(experiment: Experiment) -> Training | None:
    """What the trainings have in common; None where nothing is trained."""
    if experiment.dataset is None or not experiment.steps:
        return None
    return Training(
        bundle=experiment.bundle,
        dataset=experiment.dataset,
        folder=experiment.output / "training",
        steps=experiment.steps,
        overrides=experiment.overrides,
    )


def _score(
    images: ImageSet, methods: Sequence[Method], densities: Sequence[float], cache: ResultCache, progress: Progress
) -> list[ImageScore]:
    """The scores of some methods on one set at all densities."""
    scores: list[ImageScore] = []
    for method in methods:
        with progress.stage(f"{images.name}: {method.label}", len(images.images) * len(densities)) as step:
            scores += score_method(method, images, densities, cache, step)
    return scores


def _ablate(
    training: Training, images: ImageSet, seeds: Sequence[int], device: str, score: ScoreSet, progress: Progress
) -> list[ImageScore]:
    """Train and score the four networks with each seed, for Table 4."""
    scores: list[ImageScore] = []
    for seed in seeds:
        for variant in ABLATION:
            method = trained_method(training, variant, seed, device=device, progress=progress)
            scores += score(images, [method])
    return scores


def _write_tables(results: Results, output: Path) -> None:
    """Write ``scores.csv`` and a CSV for each table."""
    write_csv([score.columns() for score in results.scores], output / "scores.csv")
    for name, rows in results.tables().items():
        write_csv(rows, output / f"{name}.csv")
