"""The only bridge to bundles: find one, override its config, run it through MONAI's ConfigWorkflow."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mri_denoise.io.case import Case, InputError
from mri_denoise.quick_import import import_monai
from mri_denoise.registry import Bundle


@dataclass
class Settings:
    """What a user chooses for a run; a bundle takes those of the choices that its ``inference.yaml`` names.

    Args:
        sigma: ``"auto"``, ``"map"``, a number in the files' units, or the path of a map.
        strength: 0 to 1.
        device: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
        extras: companions to write: ``"residual"``, ``"noise-map"``, ``"figure"``.
        planes: ``"auto"``, 1 or 3: slices along one plane, or along three and averaged.
        picture_size: pictures are resized to so many pixels on each side (the paper: 256); None keeps their size.
        keep_vendor_headers: of DICOM, keep private blocks that describe the old pixels (Siemens CSA).
        progress: whether slices are counted on a bar.
    """

    sigma: str = "auto"
    strength: float = 1.0
    device: str = "auto"
    extras: Sequence[str] = field(default_factory=tuple)
    planes: int | str = "auto"
    picture_size: int | None = None
    keep_vendor_headers: bool = False
    progress: bool = False


def choose_device(device: str) -> str:
    """The device to run on: what was asked for, or with ``"auto"`` CUDA, then Apple's MPS, then the CPU.

    Raises:
        InputError: if that device is not here.
    """
    # read by torch when it is imported: what Apple's GPU lacks is then done on the CPU
    os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")
    import torch

    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if device == "auto":
        return next(name for name, here in available.items() if here)
    if not available.get(device.split(":")[0], False):
        raise InputError(f"device {device}: not available on this computer; use --device auto or cpu.")
    return device


@contextmanager
def quiet() -> Iterator[None]:
    """Keep engines' and libraries' logs and warnings out of the way of a command's own messages."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def find_error(error: BaseException) -> InputError | None:
    """The InputError behind the layers that transforms, engines and configs wrap around it, if there is one."""
    from mri_denoise.weights import WeightsError

    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, InputError):
            return seen
        if isinstance(seen, WeightsError):
            return InputError(str(seen))
        seen = seen.__cause__ or seen.__context__
    return None


def _unexpected(case: Case, error: BaseException) -> InputError:
    """One line for an error that nothing foresaw, so that the other cases go on."""
    while error.__cause__ is not None:
        error = error.__cause__
    words = str(error).strip().splitlines()
    reason = f"{type(error).__name__}: {words[0]}" if words else type(error).__name__
    return InputError(f"{case.label}: cannot be denoised ({reason}); this is a bug, please report it.")


class DenoiseWorkflow:
    """A bundle's inference workflow, made once and run case by case, so that one bad case does not stop the others.

    Args:
        bundle: what to run.
        cases: what to denoise.
        output_dir: where the results go.
        settings: the user's choices.

    Raises:
        InputError: if the bundle lacks what MONAI requires of an inference workflow, or its weights cannot be used.
    """

    def __init__(self, bundle: Bundle, cases: Sequence[Case], output_dir: Path, settings: Settings) -> None:
        self._broken = False
        choices = {
            "sigma": settings.sigma,
            "planes": settings.planes,
            "strength": settings.strength,
            "extras": list(settings.extras),
            "picture_size": settings.picture_size,
            "keep_vendor_headers": settings.keep_vendor_headers,
        }
        override: dict[str, Any] = {
            "bundle_root": str(bundle.folder),
            "output_dir": str(output_dir),
            "device": f"$torch.device('{choose_device(settings.device)}')",
            "handlers": [],
            "inferer#progress": settings.progress,
            **{name: value for name, value in choices.items() if name in bundle.options},
        }
        with quiet():
            import_monai(everything=not bundle.shipped)
            from monai.bundle import ConfigWorkflow

            self._workflow = ConfigWorkflow(
                config_file=str(bundle.config("inference.yaml")),
                meta_file=str(bundle.config("metadata.json")),
                logging_file=False,
                workflow_type="inference",
                **override,
            )
            # cases are objects, which a config cannot hold: the one case at hand replaces what discovery would find
            self._workflow.parser["cases"] = [cases[0]]
            try:
                self._start()
                missing = self._workflow.check_properties()
            except Exception as error:
                raise find_error(error) or error from error
            if missing:
                raise InputError(f"{bundle.folder}: not an inference bundle, it lacks {', '.join(missing)}.")

    def _start(self) -> None:
        """Make the evaluator and all that belongs to it anew."""
        self._workflow.initialize()
        self._evaluator = self._workflow.parser.get_parsed_content("evaluator")
        self._live: list[Case] = self._workflow.parser.get_parsed_content("cases")
        self._items: list[Any] = self._workflow.parser.get_parsed_content("dataset").data

    def _take(self, case: Case) -> None:
        """Make a case the one at hand."""
        self._live[0] = case
        if "volumes" in self._items[0]:  # a bundle may read cases as a whole
            from mri_denoise.parts import parts

            self._items[:] = parts([case])
            self._evaluator.state.epoch_length = len(self._items)

    def _abandon(self) -> None:
        """Let transforms that hold files open let go of them."""
        from mri_denoise.transforms import LoadVolumed, SaveVolumed

        for chain in ("preprocessing", "postprocessing"):
            for transform in getattr(self._workflow.parser.get_parsed_content(chain), "transforms", ()):
                if isinstance(transform, LoadVolumed | SaveVolumed):
                    transform.abandon()

    def run(self, case: Case) -> dict[str, Any]:
        """Denoise one case and write it.

        Returns:
            its run record.

        Raises:
            InputError: if the case cannot be read, denoised or written.
        """
        with quiet():
            if self._broken:
                self._start()
            self._take(case)
            # an engine of Ignite that an error has left does nothing when it is run again
            self._broken = True
            try:
                self._workflow.run()
            except MemoryError as error:
                raise InputError(f"{case.label}: too large for this computer's memory; cut it into parts.") from error
            except Exception as error:
                raise find_error(error) or _unexpected(case, error) from error
            finally:
                self._abandon()
            self._broken = False
        return self._evaluator.state.output[0]["record"]

    def close(self) -> None:
        """Run the bundle's ``finalize``."""
        with quiet():
            self._workflow.finalize()


def denoise(
    bundle: Bundle,
    cases: Sequence[Case],
    output_dir: Path,
    settings: Settings,
    on_case: Callable[[Case, dict[str, Any] | None, str | None], None] = lambda case, record, error: None,
    jobs: int = 1,
) -> tuple[list[dict[str, Any]], list[tuple[Case, str]]]:
    """Denoise cases; those that fail are listed and the rest goes on.

    Args:
        bundle: what to run.
        cases: at least one.
        output_dir: where the results go.
        settings: the user's choices.
        on_case: called after each case with its record or its error, in the order of ``cases``.
        jobs: how many cases side by side, each in a process with its share of the cores.

    Returns:
        the run records of those that were done, and those that failed with one line each.

    Raises:
        InputError: if the bundle itself cannot be run.
    """
    if jobs > 1 and len(cases) > 1:
        from mri_denoise.workers import denoise_side_by_side

        outcomes = denoise_side_by_side(bundle, cases, output_dir, settings, jobs)
    else:
        outcomes = _one_by_one(bundle, cases, output_dir, settings)
    done: list[dict[str, Any]] = []
    failed: list[tuple[Case, str]] = []
    with closing(outcomes):
        for case, (kind, value) in zip(cases, outcomes, strict=True):
            if kind == "unusable":
                raise InputError(value)
            if kind == "done":
                done.append(value)
                on_case(case, value, None)
            else:
                failed.append((case, value))
                on_case(case, None, value)
    return done, failed


def _one_by_one(
    bundle: Bundle, cases: Sequence[Case], output_dir: Path, settings: Settings
) -> Generator[tuple[str, Any], None, None]:
    """The outcome of each case: ``"done"`` and its record, or ``"failed"`` and one line."""
    workflow = DenoiseWorkflow(bundle, cases, output_dir, settings)
    for case in cases:
        try:
            yield "done", workflow.run(case)
        except InputError as error:
            yield "failed", str(error)
    workflow.close()
