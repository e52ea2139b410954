"""What the paper's experiment is given, and what comes out of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from mri_denoise.benchmarks.methods import Methods
from mri_denoise.benchmarks.paper.rows import MethodRow, PairedRow, SingleRow, VariantRow
from mri_denoise.benchmarks.paper.scores import ImageScore
from mri_denoise.bundles.registry import Bundle


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """The choices of a run.

    Args:
        bundle: of HMAD-Net.
        dataset: folder with ``datalist.json``, or None for pictures alone.
        output: folder of tables, figures, stored scores and training runs.
        images: folder of pictures, or None.
        densities: of the noise, in percent of the pixels.
        slices: number of slices of the test and validation volumes for Table 3.
        compared: number of slices of the test volumes for Tables 2 and 4.
        pictures: number of pictures; None for all.
        steps: of each training; 0 leaves out Table 4 and every other network that is trained.
        seeds: of the trainings.
        skip: rivals to leave out: ``"bm3d"``, ``"adaptive_median"``, ``"dncnn"``.
        device: see :func:`mri_denoise.runtime.choose_device`.
        overrides: further values of the ``train.yaml`` of the bundle.
    """

    bundle: Bundle
    dataset: Path | None
    output: Path
    images: Path | None = None
    densities: Sequence[float] = (10.0, 20.0, 30.0)
    slices: int = 999
    compared: int = 70
    pictures: int | None = None
    steps: int = 2000
    seeds: Sequence[int] = (0, 1, 2)
    skip: Sequence[str] = ()
    device: str = "auto"
    overrides: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Results:
    """What an experiment found. A table that was left out is empty.

    Args:
        methods: what Table 2 compares, and what is absent.
        scores: of every image.
        counts: number of images in each set: ``"pictures"``, ``"compared"`` (Tables 2 and 4), ``"slices"`` (Table 3).
        pictures: Table 2 on pictures.
        table_2: Table 2 on slices.
        table_3: noisy against denoised.
        table_4: the ablation.
        figure_12: images one by one.
        figures: what each figure shows, by file name.
    """

    methods: Methods
    scores: Sequence[ImageScore]
    counts: Mapping[str, int]
    pictures: Sequence[MethodRow] = ()
    table_2: Sequence[MethodRow] = ()
    table_3: Sequence[PairedRow] = ()
    table_4: Sequence[VariantRow] = ()
    figure_12: Sequence[SingleRow] = ()
    figures: Mapping[str, str] = field(default_factory=dict)

    def tables(self) -> dict[str, list[dict[str, object]]]:
        """The rows of the tables that were made, by file name, with a value for each column."""
        found: dict[str, list[dict[str, object]]] = {
            "pictures": [asdict(row) for row in self.pictures],
            "table_2": [asdict(row) for row in self.table_2],
            "table_3": [row.columns() for row in self.table_3],
            "table_4": [asdict(row) for row in self.table_4],
            "figure_12": [asdict(row) for row in self.figure_12],
        }
        return {name: rows for name, rows in found.items() if rows}
