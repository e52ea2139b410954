"""The process that denoises, one series after another, by the same functions as the command line.

Requests and answers are lines of JSON. If the process crashes, one series is lost and not the node. When the node ends,
the process notices the end of its standard input and ends at once.
"""

from __future__ import annotations

import dataclasses
import importlib
import os
import sys
import threading
from pathlib import Path
from queue import SimpleQueue

from mri_denoise._monai import import_monai
from mri_denoise.denoiser import Denoiser
from mri_denoise.errors import InputError, OutputError
from mri_denoise.io import discover
from mri_denoise.io.case import Case
from mri_denoise.io.dicom.plain_names import without_descriptions
from mri_denoise.node.messages import Answer, Request
from mri_denoise.node.records import Skipped, from_json, to_json
from mri_denoise.node.settings import Rule
from mri_denoise.pipeline.stream import denoise_case
from mri_denoise.runtime import quiet
from mri_denoise.settings import Settings, Sigma

_MAX_WARM = 4


class SeriesDenoiser:
    """Denoises series of a queue; keeps the models of the last few rules in memory.

    Args:
        working: the folder that holds the series.
        device: to run on.
    """

    def __init__(self, working: Path, device: str) -> None:
        self._working, self._device = working, device
        self._warm: dict[str, Denoiser] = {}

    def run(self, request: Request) -> Answer:
        """Denoise the images in ``SERIES/source`` into ``SERIES/derived``."""
        source = self._working / request.series / "source"
        try:
            cases, skips = discover(source)
        except InputError as error:
            return Answer(done=0, failed=(_plain(str(error), source),))
        # a message may name the folder of a result, and logs hold no text of a header
        cases = without_descriptions([one for one in cases if one.series])
        done, failed = 0, []
        for number, case in enumerate(cases, start=1):
            placed = dataclasses.replace(case, output=Path(request.series, "derived", case.output))
            try:
                self._denoise(placed, request.rule)
                done += 1
            except OutputError as error:
                return Answer(done=done, unwritten=_plain(str(error), source))
            except InputError as error:
                failed.append(_plain(str(error).replace(case.label, f"volume {number}"), source))
        skipped = (
            Skipped(file=one.source.name, reason=_plain(one.reason, source), damaged=one.damaged) for one in skips
        )
        return Answer(done=done, failed=tuple(failed), skipped=tuple(skipped))

    def _denoise(self, case: Case, rule: Rule) -> None:
        settings = Settings(
            sigma=Sigma.parse(rule.sigma),
            strength=rule.strength,
            device=self._device,
            quality=rule.quality,
            keep_vendor_headers=rule.keep_vendor_headers,
            overwrite=True,
        )
        with quiet():
            denoise_case(self._model(rule.model), case, self._working, settings)

    def _model(self, name: str) -> Denoiser:
        """Load a model, or take it from memory."""
        denoiser = self._warm.pop(name, None)
        if denoiser is None:
            if len(self._warm) >= _MAX_WARM:
                self._warm.pop(next(iter(self._warm)))
            denoiser = Denoiser.load(name, device=self._device, trust=True)
        self._warm[name] = denoiser
        return denoiser


def _plain(text: str, source: Path) -> str:
    """Remove the path of the queue from a message: it means nothing to its readers."""
    for folder, name in ((source, "series"), (source.parent, "result")):
        text = text.replace(f"{folder}{os.sep}", "").replace(str(folder), name)
    return text


def main() -> None:
    """Serve requests from standard input until it ends."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # so that what a library prints does not get among the answers
    requests: SimpleQueue[str] = SimpleQueue()

    def listen() -> None:
        for line in sys.stdin:
            requests.put(line)
        os._exit(0)  # the node has ended: the next one deletes what is half done

    threading.Thread(target=listen, daemon=True).start()
    with quiet():  # loaded before the first series comes
        import_monai()
        importlib.import_module("mri_denoise.transforms")
    denoiser = SeriesDenoiser(Path(sys.argv[1]), sys.argv[2])
    while True:
        request = from_json(Request, requests.get().encode())
        answers.write(to_json(denoiser.run(request)) + b"\n")
        answers.flush()


if __name__ == "__main__":
    main()
