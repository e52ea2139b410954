"""Cases read chunk by chunk, with the noise of each chunk measured."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass

from mri_denoise.denoiser import Denoiser, Measured
from mri_denoise.errors import InputError, as_input_error
from mri_denoise.io.case import Case
from mri_denoise.io.chunks import Chunk, plan_chunks
from mri_denoise.io.reading import open_reader
from mri_denoise.pipeline.effective import effective
from mri_denoise.pipeline.inputs import Stamp, stamps_of
from mri_denoise.settings import Settings
from mri_denoise.volume import Volume


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A chunk that was read and measured.

    Args:
        case: the case it belongs to.
        chunk: which volumes of the case.
        measured: the volumes, with their noise.
        seconds: what reading and measuring took.
        inputs: the files of the case before they were read.
    """

    case: Case
    chunk: Chunk
    measured: Measured
    seconds: float
    inputs: Sequence[Stamp]


@dataclass(frozen=True, kw_only=True)
class Unreadable:
    """A case that ends here, with the reason in one line."""

    case: Case
    error: InputError


def load_chunks(
    denoiser: Denoiser, cases: Iterable[Case], settings: Settings
) -> Generator[Loaded | Unreadable, Case | None, None]:
    """Read and measure the chunks of all cases, in order.

    Args:
        denoiser: whose first steps measure the noise.
        cases: what to read.
        settings: the user's choices.

    Yields:
        the chunks of each case; for one that cannot be read, the error in place of those that are left. A case sent in
        answer is given up: its other chunks are not read.
    """
    for case in cases:
        given_up: Case | None = None
        start = time.monotonic()
        try:
            inputs, chosen = stamps_of(case, settings), effective(settings, case)
            for chunk, volume in read_chunks(case):
                measured = denoiser.measure(volume, chosen, chunk)
                seconds = time.monotonic() - start
                given_up = yield Loaded(case=case, chunk=chunk, measured=measured, seconds=seconds, inputs=inputs)
                if given_up is case:
                    break
                start = time.monotonic()
        except Exception as error:
            yield Unreadable(case=case, error=as_input_error(case.label, error))


def read_chunks(case: Case) -> Iterator[tuple[Chunk, Volume]]:
    """The volumes of a case, a chunk at a time; the file stays open from the first to the last.

    Raises:
        InputError: for whatever is wrong with the files.
    """
    with open_reader(case) as reader:
        for chunk in plan_chunks(reader.count, reader.volume_voxels, whole=reader.whole):
            yield chunk, reader.take(chunk.stop - chunk.start)
