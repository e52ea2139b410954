"""The process that denoises, one series after another, by the same functions as the command line.

Requests and answers are lines of JSON. If the process crashes, one series is lost and not the node. When the node ends,
the process notices the end of its standard input and ends at once.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import sys
import threading
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from mri_denoise._monai import import_monai
from mri_denoise.denoiser import Denoiser
from mri_denoise.errors import InputError
from mri_denoise.io import discover
from mri_denoise.io.case import Case, Skip
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

    def run(self, series: str, rule: dict[str, Any]) -> dict[str, Any]:
        """Denoise the images in ``SERIES/source`` into ``SERIES/derived``.

        Returns:
            how many volumes were ``done``; ``failed``, one line each; ``skipped``, as file, reason and whether damaged.
        """
        source = self._working / series / "source"
        try:
            cases, skips = discover(source)
        except InputError as error:
            return {"done": 0, "failed": [_plain(str(error), source)], "skipped": []}
        cases = [one for one in cases if one.series]
        done, failed = 0, []
        for number, case in enumerate(cases, start=1):
            placed = dataclasses.replace(case, output=Path(series, "derived", case.output))
            try:
                self._denoise(placed, rule)
                done += 1
            except InputError as error:
                failed.append(_plain(str(error).replace(case.label, f"volume {number}"), source))
        return {"done": done, "failed": failed, "skipped": [_told(skip, source) for skip in skips]}

    def _denoise(self, case: Case, rule: dict[str, Any]) -> None:
        settings = Settings(
            sigma=Sigma.parse(rule["sigma"]),
            strength=rule["strength"],
            device=self._device,
            planes=rule["planes"],
            keep_vendor_headers=rule["keep_vendor_headers"],
        )
        denoise_case(self._model(rule["model"]), case, self._working, settings)

    def _model(self, name: str) -> Denoiser:
        """Load a model, or take it from memory."""
        denoiser = self._warm.pop(name, None)
        if denoiser is None:
            if len(self._warm) >= _MAX_WARM:
                self._warm.pop(next(iter(self._warm)))
            denoiser = Denoiser.load(name, device=self._device)
        self._warm[name] = denoiser
        return denoiser


def _told(skip: Skip, source: Path) -> list[Any]:
    return [skip.source.name, _plain(skip.reason, source), skip.damaged]


def _plain(text: str, source: Path) -> str:
    """Remove the path of the queue from a message: it means nothing to its readers."""
    return text.replace(f"{source}{os.sep}", "").replace(str(source), "series")


def main() -> None:
    """Serve requests from standard input until it ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
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
    print(json.dumps({"ready": True}), file=answers, flush=True)
    while True:
        request = json.loads(requests.get())
        print(json.dumps(denoiser.run(request["series"], request["rule"])), file=answers, flush=True)


if __name__ == "__main__":
    main()
