"""Cases one after another: the next chunk is read, and the last one written, while the network is at work.

A background thread does all that has to do with files, one job after another in the order in which they are handed in:
read and measure the next chunk, write the last one, read the one after. So nothing is read while a result still waits
to be written, and there is at any time one image more in memory than those of the chunk at hand.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from mri_denoise.denoiser import Denoised, Denoiser
from mri_denoise.errors import InputError, OutputError, as_input_error
from mri_denoise.io.case import Case
from mri_denoise.pipeline.outcome import Outcome, Report
from mri_denoise.pipeline.result import Output, ResultWriter
from mri_denoise.pipeline.source import Loaded, Unreadable, load_chunks
from mri_denoise.record import RunRecord
from mri_denoise.runtime import ToldToEnd, end_if_told
from mri_denoise.settings import Settings


def denoise_stream(
    denoiser: Denoiser, cases: Iterable[Case], output_dir: Path, settings: Settings, report: Report
) -> None:
    """Denoise cases; one that fails does not stop the others.

    Args:
        denoiser: what to run.
        cases: what to denoise.
        output_dir: where the results go.
        settings: the user's choices.
        report: called with the outcome of each case, in their order, in the background thread. What it raises ends the
            run.

    Raises:
        ToldToEnd: if the run is to end (:func:`~mri_denoise.runtime.ends_when`); nothing half-written is left.
    """
    output = Output(
        folder=output_dir,
        model=denoiser.model,
        extras=settings.extras,
        keep_vendor_headers=settings.keep_vendor_headers,
        overwrite=settings.overwrite,
    )
    background = ThreadPoolExecutor(1, thread_name_prefix="files")
    source = load_chunks(denoiser, cases, settings)
    job: _Job | None = None
    writing: list[Future[None]] = []
    try:
        upcoming = background.submit(_advance, source, None)
        while (loaded := upcoming.result()) is not None:
            end_if_told()
            if job is None or job.case is not loaded.case:
                job = _Job(loaded.case, output, report)
            upcoming = background.submit(_advance, source, job.case if job.failed else None)
            if not job.failed:
                writing.append(background.submit(job.write, loaded, job.denoise(denoiser, loaded)))
            while writing and writing[0].done():
                writing.pop(0).result()
        for last in writing:
            last.result()
    finally:
        background.shutdown(cancel_futures=True)
        source.close()
        if job is not None:
            job.abandon()


def denoise_case(denoiser: Denoiser, case: Case, output_dir: Path, settings: Settings) -> RunRecord:
    """Denoise one case and write it.

    Returns:
        its run record.

    Raises:
        InputError: if the case cannot be read or denoised.
        OutputError: if its result cannot be written.
    """
    outcomes: list[Outcome] = []
    denoise_stream(denoiser, [case], output_dir, settings, outcomes.append)
    [outcome] = outcomes
    if outcome.record is None:
        raise OutputError(outcome.error) if outcome.unwritten else InputError(outcome.error)
    return outcome.record


def _advance(
    source: Generator[Loaded | Unreadable, Case | None, None], given_up: Case | None
) -> Loaded | Unreadable | None:
    """The next chunk, None after the last one."""
    try:
        return source.send(given_up)
    except StopIteration:
        return None


class _Job:
    """A case between its first chunk and its outcome: denoised in one thread, written and reported in the other."""

    def __init__(self, case: Case, output: Output, report: Report) -> None:
        self.case, self.failed = case, False
        self._writer, self._report, self._reported = ResultWriter(case, output), report, False
        self._with_raw = bool(output.extras)
        self._computing = self._writing = 0.0  # seconds, of either thread

    def denoise(self, denoiser: Denoiser, loaded: Loaded | Unreadable) -> Denoised | InputError:
        """Run the network; gives the error if the chunk could not be read or denoised."""
        if isinstance(loaded, Unreadable):
            return loaded.error
        start = time.monotonic()
        try:
            return denoiser.finish(loaded.measured, with_raw=self._with_raw)
        except ToldToEnd:
            raise
        except (Exception, SystemExit) as error:  # a bundle may call exit()
            return as_input_error(self.case.label, error)
        finally:
            self._computing += loaded.seconds + time.monotonic() - start

    def write(self, loaded: Loaded | Unreadable, result: Denoised | InputError) -> None:
        """Write a chunk; report the outcome after the last one, or with the first error."""
        if self._reported:
            return
        try:
            if isinstance(result, InputError):
                raise result
            if isinstance(loaded, Unreadable):
                raise loaded.error
            outcome = self._put(loaded, result)
        except Exception as error:
            self.failed = True
            self._writer.abandon()
            found = as_input_error(self.case.label, error)
            outcome = Outcome(case=self.case, error=str(found), unwritten=isinstance(found, OutputError))
        if outcome is not None:
            self._reported = True
            self._report(outcome)

    def _put(self, loaded: Loaded, result: Denoised) -> Outcome | None:
        start = time.monotonic()
        self._writer.put(result, loaded.chunk)
        self._writing += time.monotonic() - start
        if not loaded.chunk.last:
            return None
        return Outcome(case=self.case, record=self._writer.finish(self._computing + self._writing, loaded.inputs))

    def abandon(self) -> None:
        """Remove what is half-written."""
        self._writer.abandon()
