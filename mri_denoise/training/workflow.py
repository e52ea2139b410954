"""Run the training configs of a bundle, and let somebody watch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.bundle import ConfigWorkflow

from mri_denoise._monai import import_monai
from mri_denoise.bundles.registry import Bundle
from mri_denoise.errors import InputError, as_input_error
from mri_denoise.training.course import Course
from mri_denoise.training.pictures import ValidationPictures


def make_workflow(output: Path, configs: Sequence[str], values: Mapping[str, Any]) -> ConfigWorkflow:
    """Make the workflow of the configs of a new bundle, not yet initialised.

    Args:
        output: the bundle.
        configs: names of its configs, merged in this order.
        values: what to change in them.
    """
    import_monai(everything=True)  # a run before this one may have left most of it out
    return ConfigWorkflow(
        config_file=[str(output / "configs" / name) for name in configs],
        meta_file=str(output / "configs" / "metadata.json"),
        logging_file=False,
        workflow_type="train",
        bundle_root=str(output),
        **values,
    )


def run_training(
    workflow: ConfigWorkflow, bundle: Bundle, course: Course | None = None, pictures: Path | None = None
) -> None:
    """Run a training workflow from its start to its end.

    Args:
        workflow: what is run.
        bundle: named in messages.
        course: follows it.
        pictures: folder for pictures of validation volumes.

    Raises:
        InputError: if the bundle lacks a property that MONAI requires of a training, an input cannot be used, or the
            training does not run with the values of its configs.
    """
    try:
        try:
            workflow.initialize()
            missing = workflow.check_properties()
            if missing:
                raise InputError(f"{bundle.folder}: not a training bundle, it lacks {', '.join(missing)}.")
            if course is not None:
                _follow(workflow, course, pictures)
            workflow.run()
        finally:
            workflow.finalize()
    except Exception as error:
        hint = "check the values that were changed (--set); without any it is a bug, please report it"
        raise as_input_error(f"training of {bundle.name}", error, failed="stopped", remedy=hint) from error


def _follow(workflow: ConfigWorkflow, course: Course, pictures: Path | None) -> None:
    """Attach what watches to the trainer and the evaluator of a bundle."""
    parse = workflow.parser.get_parsed_content
    trainer, evaluator = parse("train#trainer"), parse("validate#evaluator")
    if pictures is not None:
        items = parse("validate#data")
        names = [f"{item.get('name', Path(item['image']).name)}{_level(item)}" for item in items]
        ValidationPictures(pictures, trainer, names).attach(evaluator)
    course.attach(trainer, evaluator)


def _level(item: Mapping[str, Any]) -> str:
    """The noise of a validation item, in words."""
    levels = [f", {100 * float(item[key]):g} % noise" for key in ("sigma", "density") if key in item]
    return levels[0] if levels else ""
