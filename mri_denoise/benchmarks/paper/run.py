"""The paper's experiment with data of one's own: Tables 2, 3 and 4, Figures 7, 8, 11 and 12."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from mri_denoise.benchmarks.baselines import Denoiser
from mri_denoise.benchmarks.cache import ResultCache
from mri_denoise.benchmarks.paper import tables
from mri_denoise.benchmarks.paper.ablation import ABLATION, Training
from mri_denoise.benchmarks.paper.figures import draw_figures
from mri_denoise.benchmarks.paper.images import GreyImage, dataset_slices, pictures, spread_slices
from mri_denoise.benchmarks.paper.methods import HMAD, HMAD_ALIKE, NOISY_IMAGE, Methods, table_2_methods, trained_method
from mri_denoise.benchmarks.paper.report import record_of, write_report
from mri_denoise.benchmarks.paper.scores import ImageSet, Score, score_method
from mri_denoise.bundles.registry import Bundle
from mri_denoise.errors import InputError
from mri_denoise.report.text import write_csv

NOISE_SEED = 0


class Progress(Protocol):
    """Shows how far a stage is: called with its title and number of steps, gives what is called after each step."""

    def __call__(self, title: str, total: int) -> AbstractContextManager[Callable[[], None]]:
        """Begin a stage."""


@dataclass(frozen=True)
class Experiment:
    """What is run.

    Args:
        bundle: of HMAD-Net.
        dataset: folder with ``datalist.json``, or None for pictures alone.
        output: folder of tables, figures, stored scores and training runs.
        images: folder of pictures, or None.
        densities: shares of pixels replaced, 0 to 1.
        slices: how many of the test and validation volumes for Table 3.
        compared: how many of the test volumes for Tables 2 and 4.
        pictures: how many of the pictures; None for all.
        steps: of each training; 0 leaves out Table 4 and what else is trained.
        seeds: of the trainings.
        skip: rivals to leave out: ``"bm3d"``, ``"adaptive_median"``, ``"dncnn"``.
        device: see :func:`mri_denoise.runtime.choose_device`.
        training_overrides: further values of the bundle's ``train.yaml``.
        show_training: whether training shows a bar.
        on_training: called with its title when a training begins or goes on.
    """

    bundle: Bundle
    dataset: Path | None
    output: Path
    images: Path | None = None
    densities: Sequence[float] = (0.1, 0.2, 0.3)
    slices: int = 999
    compared: int = 70
    pictures: int | None = None
    steps: int = 2000
    seeds: Sequence[int] = (0, 1, 2)
    skip: Sequence[str] = ()
    device: str = "auto"
    training_overrides: dict[str, Any] = field(default_factory=dict)
    show_training: bool = False
    on_training: Callable[[str], None] = lambda title: None


@dataclass
class Results:
    """What came out: rows of the tables, all scores, and the pictures drawn.

    Args:
        methods: what Table 2 compares, and what is absent.
        scores: of every image.
        tables: by file name: rows of equal keys.
        figures: by file name: what is to be seen.
        counts: number of images in each set.
    """

    methods: Methods
    scores: list[Score] = field(default_factory=list)
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    figures: dict[str, str] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)


def run_experiment(experiment: Experiment, progress: Progress) -> dict[str, Any]:
    """Run what is not in the output folder yet, and write tables, figures, report and record.

    Args:
        experiment: what is run.
        progress: shows how far it is.

    Returns:
        the record.

    Raises:
        InputError: if data or weights cannot be used, or nothing is given to work on.
    """
    if experiment.dataset is None and experiment.images is None:
        raise InputError("benchmark paper: give a prepared data set, a folder of pictures (--images), or both.")
    sets = _image_sets(experiment, progress)
    training = _training(experiment)
    seed = experiment.seeds[0]
    methods = table_2_methods(experiment.bundle, training, seed, experiment.device, experiment.skip)
    results = Results(methods, counts={name: len(one.images) for name, one in sets.items()})
    by_name = {method.name: method for method in methods.found}
    for name in ("pictures", "compared"):
        if name in sets:
            mine = _score(experiment, sets[name], methods.found, progress)
            results.scores += mine
            table = "table_2" if name == "compared" else "pictures"
            results.tables[table] = tables.table_2(mine, methods.found)
    if "slices" in sets:
        mine = _score(experiment, sets["slices"], [NOISY_IMAGE, by_name[HMAD]], progress)
        results.scores += mine
        results.tables["table_3"] = tables.table_3(mine, HMAD)
    if training is not None:
        _ablate(experiment, training, sets["compared"], results, progress)
    early = by_name.get(HMAD_ALIKE)
    results.tables["figure_12"], results.figures = draw_figures(
        sets, results.scores, by_name[HMAD], early, experiment.densities, experiment.output / "figures"
    )
    write_csv([asdict(score) for score in results.scores], experiment.output / "scores.csv")
    for name, rows in results.tables.items():
        write_csv(rows, experiment.output / f"{name}.csv")
    record = record_of(experiment, results)
    write_report(experiment, results, record)
    return record


def _image_sets(experiment: Experiment, progress: Progress) -> dict[str, ImageSet]:
    """Pictures, the slices of Tables 2 and 4 (test volumes only) and those of Table 3."""
    images: dict[str, list[GreyImage]] = {}
    if experiment.images is not None:
        images["pictures"] = pictures(experiment.images, experiment.pictures)
    if experiment.dataset is not None:
        with progress("reading test and validation volumes", 0) as step:
            volumes = dataset_slices(experiment.dataset, step)
        images["compared"] = spread_slices(volumes["test"], experiment.compared)
        images["slices"] = spread_slices(volumes["test"] + volumes["validation"], experiment.slices)
    return {name: ImageSet(name, found, NOISE_SEED) for name, found in images.items()}


def _training(experiment: Experiment) -> Training | None:
    if experiment.dataset is None or not experiment.steps:
        return None
    return Training(
        experiment.bundle,
        experiment.dataset,
        experiment.output / "training",
        experiment.steps,
        experiment.training_overrides,
        experiment.show_training,
        experiment.on_training,
    )


def _score(experiment: Experiment, images: ImageSet, methods: Sequence[Denoiser], progress: Progress) -> list[Score]:
    """Scores of some methods on one set at all densities."""
    scores: list[Score] = []
    cache = ResultCache(experiment.output / "cache")
    for method in methods:
        total = len(images.images) * len(experiment.densities)
        with progress(f"{images.name}: {method.label}", total) as step:
            for density in experiment.densities:
                scores += score_method(method, images, density, cache, step)
    return scores


def _ablate(experiment: Experiment, training: Training, images: ImageSet, results: Results, progress: Progress) -> None:
    """Train and score the four networks with each seed: Table 4."""
    scores: list[Score] = []
    for seed in experiment.seeds:
        for variant in ABLATION:
            method = trained_method(training, variant, seed, experiment.device)
            scores += _score(experiment, images, [method], progress)
    results.scores += scores
    results.tables["table_4"] = tables.table_4(scores, ABLATION, experiment.seeds)
