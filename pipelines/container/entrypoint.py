#!/usr/bin/env python3
"""Entry point of the container: one image under several conventions.

With arguments it is the command line: ``denoise IN OUT``, ``doctor`` ..., and ``BIDS_DIR OUTPUT_DIR participant`` as a
BIDS App. Without arguments, input and output come from the environment: ``MERCURE_IN_DIR`` and ``MERCURE_OUT_DIR``
(mercure), ``MONAI_INPUTPATH`` and ``MONAI_OUTPUTPATH`` (MONAI Application Package), or ``HOLOSCAN_INPUT_PATH`` and
``HOLOSCAN_OUTPUT_PATH`` (MONAI Deploy App SDK 1 and later). Options then come from ``MRI_DENOISE_OPTIONS``, in mercure
from the module's settings as well. The exit code is that of ``mri-denoise``.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

PROGRAM = "mri-denoise"
WRONG_USAGE = 2
BIDS_LEVELS = ("participant", "group")
# what a mercure module may set under "settings"
MERCURE_SETTINGS = ("model", "sigma", "strength", "quality", "device")
# and what it may set to true or false there: the option for either
MERCURE_SWITCHES = {
    "guard": {True: "--guard", False: "--no-guard"},
    "tta": {True: "--tta"},
    "keep-vendor-headers": {True: "--keep-vendor-headers"},
    "force": {True: "--force"},
}


@dataclass(frozen=True)
class Convention:
    """Names of the environment variables by which a platform says where input and output are."""

    source: str
    output: str
    folder: str  # what relative paths are relative to

    def find(self, environment: Mapping[str, str]) -> tuple[Path, Path] | None:
        """Input and output, or None where the environment names neither."""
        given = [environment.get(name, "") for name in (self.source, self.output)]
        if not any(given):
            return None
        if not all(given):
            stop(f"{self.source} and {self.output}: set both.")
        source, output = (Path(environment.get(self.folder) or ".") / path for path in given)
        if not source.exists():
            stop(f"{self.source}={source}: no such file or folder.")
        return source, output


GRACE = 8  # seconds to clean up in, of the ten after which containers are killed
MERCURE = Convention("MERCURE_IN_DIR", "MERCURE_OUT_DIR", "")
MONAI = Convention("MONAI_INPUTPATH", "MONAI_OUTPUTPATH", "MONAI_WORKDIR")
HOLOSCAN = Convention("HOLOSCAN_INPUT_PATH", "HOLOSCAN_OUTPUT_PATH", "HOLOSCAN_WORKDIR")


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run ``mri-denoise`` as the arguments or the environment say; its exit code."""
    if arguments:
        run(["bids", *arguments] if is_bids_app(arguments) else arguments)
    try:
        options = shlex.split(environment.get("MRI_DENOISE_OPTIONS", ""))
    except ValueError as error:
        stop(f"MRI_DENOISE_OPTIONS: cannot be read ({error}); write it as on the command line.")
    if places := MERCURE.find(environment):
        return run_mercure(*places, options)
    if places := MONAI.find(environment) or HOLOSCAN.find(environment):
        run(["denoise", *map(str, places), *options])
    run([])


def is_bids_app(arguments: Sequence[str]) -> bool:
    """Whether the arguments are those of a BIDS App: two folders, then the level."""
    return len(arguments) > 2 and arguments[2] in BIDS_LEVELS and arguments[0] != "bids"


def run(arguments: Sequence[str]) -> NoReturn:
    """Run ``mri-denoise`` in place of this program, so that what the container is told reaches it: SIGTERM, Ctrl-C."""
    os.execvp(PROGRAM, [PROGRAM, *arguments])


def run_mercure(source: Path, output: Path, options: Sequence[str]) -> int:
    """Denoise what mercure hands over: it wants all DICOM files in one folder, and a ``result.json``."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # lets what follows clean up
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".mri-denoise-", dir=output) as stage:
        chosen = [*options, *mercure_options(source / "task.json")]
        command = [PROGRAM, "denoise", str(source), stage, *chosen, "--json"]
        code, said = run_to_end(command)
        if not said.strip():  # wrong usage: it has said what
            return code
        report = json.loads(said)
        for record in report.get("done", ()):  # absent where it says why nothing could be done
            record["outputs"] = [flatten(Path(path), Path(stage), output) for path in written(record)]
    (output / "result.json").write_text(json.dumps({"mri-denoise": report}, indent=2) + "\n", encoding="utf-8")
    return code


def run_to_end(command: Sequence[str]) -> tuple[int, str]:
    """Run a command; its exit code, and what it prints.

    SIGTERM, of which the first process of a container knows nothing, ends it and this program.
    """
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:

        def end(number: int, _: object) -> None:
            running.terminate()
            try:
                running.wait(GRACE)
            except subprocess.TimeoutExpired:
                running.kill()
            sys.exit(128 + number)

        signal.signal(signal.SIGTERM, end)
        while True:
            try:
                said, _ = running.communicate(timeout=1)
                return running.returncode, said
            except subprocess.TimeoutExpired:  # a signal right before a wait is not seen in it, but after it
                pass


def mercure_options(task: Path) -> list[str]:
    """Options of ``denoise`` from the settings of the module in mercure's ``task.json``."""
    if not task.is_file():
        return []
    try:
        content = json.loads(task.read_text(encoding="utf-8"))
    except ValueError:
        stop(f"{task}: is not JSON.")
    process = content.get("process") or {}
    steps = process if isinstance(process, list) else [process]
    settings: dict[str, Any] = {}
    for step in steps:
        settings.update(step.get("settings") or {})
    words = [word for name in MERCURE_SETTINGS if name in settings for word in (f"--{name}", str(settings[name]))]
    for name, options in MERCURE_SWITCHES.items():
        if not isinstance(value := settings.get(name, False), bool):
            stop(f"{task}: {name} is {value!r}; set it to true or false.")
        if name in settings and value in options:
            words.append(options[value])
    return words


def written(record: Mapping[str, Any]) -> Iterator[str]:
    """The files of a result."""
    for path in map(Path, record["outputs"]):
        yield from map(str, sorted(path.iterdir()) if path.is_dir() else [path])


def flatten(path: Path, stage: Path, output: Path) -> str:
    """Move a file into mercure's folder, named ``SERIES#FILE`` as mercure names what it hands over; its name there."""
    target = output / "#".join(path.resolve().relative_to(stage.resolve()).parts)
    if target.exists():
        stop(f"{target}: exists; give mercure's module an empty output folder.")
    shutil.move(path, target)
    return target.name


def stop(message: str) -> NoReturn:
    """Say one line and end with the code of wrong usage."""
    print(f"{PROGRAM} container: {message}", file=sys.stderr)
    raise SystemExit(WRONG_USAGE)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
