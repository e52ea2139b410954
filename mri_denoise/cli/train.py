"""``mri-denoise train``."""

from __future__ import annotations

import dataclasses
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mri_denoise.bids.dataset import is_dataset, open_dataset
from mri_denoise.bids.selection import Wanted, select
from mri_denoise.cli import checks, common
from mri_denoise.cli.json_output import json_option, print_json
from mri_denoise.io.case import Case, Skip
from mri_denoise.runtime import process_rank
from mri_denoise.settings import DEFAULTS

if TYPE_CHECKING:
    from mri_denoise.training.scans import Candidate, TrainingScans
    from mri_denoise.training.train import TrainingRecord

_STOPPED = 130  # as a shell says of a command that Ctrl-C ended


def train(
    scans: Annotated[
        Path,
        typer.Argument(metavar="SCANS", help="Folder of scans, BIDS data set, or folder with a datalist.json."),
    ],
    output: Annotated[Path, typer.Argument(metavar="OUTPUT", help="Folder of the new bundle, its pictures and logs.")],
    model: Annotated[str, typer.Option(help="Bundle whose training is run: a name or a folder.")] = "rician",
    from_scratch: Annotated[
        bool, typer.Option("--from-scratch", help="Begin with random weights, not with those of the model.")
    ] = False,
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs in all, instead of the bundle's.")] = None,
    suffix: Annotated[
        list[str] | None, typer.Option("--suffix", help="Only files whose name ends like this, as T1w; all by default.")
    ] = None,
    references: Annotated[
        bool, typer.Option("--references/--no-references", help="Also learn from the scans denoised once.")
    ] = True,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the split and of everything random.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = DEFAULTS.device,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the training in OUTPUT.")] = False,
    prepare_only: Annotated[
        bool, typer.Option("--prepare-only", help="Make OUTPUT with its lists, and do not train; for torchrun.")
    ] = False,
    trust: common.Trust = False,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override any value of train.yaml.")
    ] = None,
    as_json: Annotated[bool, json_option("Print the record as JSON.")] = False,
) -> None:
    """Fine-tune a model on your own scans; the result is a bundle that denoise --model takes."""
    overrides = checks.parse_settings(settings)
    _check_folders(scans, output, resume=resume)
    checks.check_device(device)
    bundle = common.find_model(model, trust=trust)
    from mri_denoise.cli.training_bar import TrainingBar
    from mri_denoise.training.begin import begin, check_overrides, check_start, load_beginning
    from mri_denoise.training.course import Watcher
    from mri_denoise.training.scans import is_prepared
    from mri_denoise.training.train import TrainSettings, train_bundle

    rank, processes = process_rank()
    if processes > 1 and not resume:
        common.stop("torchrun: make OUTPUT with --prepare-only first, then add --resume.", common.WRONG_USAGE)
    found: list[Candidate] = []
    skips: list[Skip] = []
    if not resume:
        with common.one_line_errors(common.WRONG_USAGE):
            check_overrides(bundle, check_start(bundle, from_scratch=from_scratch), overrides)
        found, skips = _find(scans, output, suffix or [])
    made = references and not is_prepared(scans)  # a list that is there already says what is learned from
    with TrainingBar() if rank == 0 else nullcontext(Watcher()) as watcher:
        if resume:
            with common.one_line_errors(common.WRONG_USAGE):
                beginning = load_beginning(output, bundle)
                check_overrides(bundle, beginning.configs, overrides)
        else:
            with common.one_line_errors():
                beginning, listed = begin(
                    bundle, found, output, scans, watcher, from_scratch=from_scratch, references=made, seed=seed
                )
            skips = [*skips, *listed.skips]
            _say_lists(listed)
        if prepare_only:
            if as_json:
                print_json({"output": str(output), **dataclasses.asdict(beginning)})
            raise typer.Exit(_code(skips))
        chosen = TrainSettings(epochs=epochs, device=device, overrides=overrides)
        try:
            with common.one_line_errors():
                record = train_bundle(bundle, output, beginning, chosen, watcher)
        except KeyboardInterrupt:
            common.stop(f"stopped; the same command with --resume goes on from the last epoch in {output}.", _STOPPED)
    if record is not None and as_json:
        print_json(record.as_dict())
    elif record is not None:
        _say(record, output)
    raise typer.Exit(_code(skips))


def _code(skips: list[Skip]) -> int:
    return common.SOME_FAILED if any(skip.damaged for skip in skips) else common.DONE


def _say_lists(scans: TrainingScans) -> None:
    """Say how many volumes of whom are learned from, and how many validate."""
    for split in ("training", "validation"):
        people = scans.subjects(split)
        volumes = len({entry["name"] for entry in scans.lists[split]})
        common.messages.print(
            f"{split}: {volumes} volume{'s' * (volumes != 1)} of {len(people)} subject{'s' * (len(people) != 1)} "
            f"({common.first_names(people)})"
        )


def _check_folders(scans: Path, output: Path, *, resume: bool) -> None:
    """End with code 2 for folders that cannot be what the user means."""
    if not scans.exists():
        common.stop(f"{scans}: no such file or folder.", common.WRONG_USAGE)
    if output.resolve() == scans.resolve() or output.resolve().is_relative_to(scans.resolve()):
        common.stop(f"{output}: is inside {scans}; choose an output outside of the scans.", common.WRONG_USAGE)
    if resume or not output.exists():
        return
    if not output.is_dir():
        common.stop(f"{output}: is a file, but the new bundle needs a folder.", common.WRONG_USAGE)
    if any(output.iterdir()):
        hint = "add --resume to go on with its training, or choose another output"
        common.stop(f"{output}: exists; {hint}.", common.WRONG_USAGE)


def _find(scans: Path, output: Path, suffixes: list[str]) -> tuple[list[Candidate], list[Skip]]:
    """Find the images of a prepared folder, a BIDS data set or any folder; says what is left alone."""
    from mri_denoise.training.scans import candidates_of, is_prepared, read_datalist

    if is_prepared(scans):
        with common.one_line_errors():
            found, skips = read_datalist(scans)
        common.say_skips(skips)
    elif is_dataset(scans):
        with common.one_line_errors(common.WRONG_USAGE):
            selection = select(open_dataset(scans), Wanted(suffixes=suffixes))
        cases = [
            Case(kind="nifti", sources=(scan.path,), output=scan.folder / str(scan.name), label=scan.label)
            for scan in selection.scans
        ]
        skips = list(selection.skips)
        common.say_skips(skips)
        found = candidates_of(cases)
    else:
        cases, skips = common.find_cases(scans, output, own_results=False)
        packed = [case for case in cases if not case.sources[0].is_relative_to(scans)]
        zipped = [Skip(source=scans / case.label, reason="in a zip file; unpack it") for case in packed]
        common.say_skips(zipped)
        skips = [*skips, *zipped]
        found = candidates_of([case for case in cases if case not in packed])
    if suffixes:
        found = [one for one in found if _suffix(one.case.sources[0]) in suffixes]
        skips = [skip for skip in skips if _suffix(skip.source) in suffixes]
    return found, skips


def _suffix(path: Path) -> str:
    """The last word of a name: T1w of sub-01_T1w.nii.gz."""
    return path.name.split(".")[0].split("_")[-1]


def _say(record: TrainingRecord, output: Path) -> None:
    """What came of it, in words."""
    from mri_denoise.cli.training_bar import in_words

    after = in_words(record.best.metrics)
    if record.before is None:
        common.say(f"validation: {after}, by the weights of epoch {record.best.epoch}")
    elif record.improved:
        before = in_words(record.before.metrics)
        common.say(f"validation: {before} before, {after} after, by the weights of epoch {record.best.epoch}")
    else:
        common.say(f"fine-tuning did not help on the validation scans ({after}): the weights are the original ones")
    common.say(f"use it with: mri-denoise denoise INPUT OUTPUT --model {output}")
