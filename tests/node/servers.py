"""Real programs for the tests of the node: Orthanc, dcmtk's storescp, and the node itself as a process."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydicom.dataset import Dataset

from tests.io.dicom.phantom import Phantom, save, series
from tests.programs import need

ROOT = Path(__file__).parents[2]
PLUGINS = [Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so"), Path("/usr/lib/orthanc/libOrthancDicomWeb.so")]
ARRIVALS = """
function ReceivedInstanceFilter(dicom, origin, info)
  local file = io.open("%s", "a")
  file:write(dicom.SOPInstanceUID .. "\\n")
  file:close()
  return true
end
"""


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """A self-signed certificate for 127.0.0.1, in PEM files."""

    chain: Path
    key: Path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(condition: Callable[[], Any], seconds: float = 60.0, what: str = "", every: float = 0.05) -> Any:
    """Wait for a condition to be true, and give its value; it is looked at once in so many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(every)
    raise AssertionError(f"waited {seconds} s in vain: {what or condition}")


def tiny_series(name: str, slices: int = 4, **attributes: object) -> list[Dataset]:
    """A series of small slices, its UIDs made from a name."""
    return series(Phantom(slices=slices, rows=32, columns=32, uid=name), **attributes)


def save_tiny(folder: Path, name: str, **attributes: Any) -> list[Path]:
    return save(tiny_series(name, **attributes), folder / name)


class Orthanc:
    """An Orthanc server with its DICOMweb plugin, that counts every image that arrives.

    Args:
        folder: for its storage and configuration.
        title: its AE title.
        modalities: AE title and port of those that it sends to, by name.
        port: where it listens; a free one by default.
        config: more of its configuration.
    """

    end = signal.SIGKILL
    """It takes three seconds to end when it is told to, and nobody reads its storage afterwards."""

    def __init__(
        self,
        folder: Path,
        title: str,
        modalities: dict[str, tuple[str, int]],
        port: int | None = None,
        **config: Any,
    ) -> None:
        program = need("Orthanc")
        plugin = next((path for path in PLUGINS if path.exists()), None)
        if plugin is None:
            message = "Orthanc's DICOMweb plugin is not installed"
            if os.environ.get("CI"):
                pytest.fail(message)
            pytest.skip(message)
        folder.mkdir(parents=True)
        self.title, self.port, self.http = title, port or free_port(), free_port()
        self.arrivals_file = folder / "arrivals"
        (folder / "arrivals.lua").write_text(ARRIVALS % self.arrivals_file)
        configuration = {
            **{"Name": title, "DicomAet": title, "DicomPort": self.port, "HttpPort": self.http},
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "StorageDirectory": str(folder / "storage"),
            "IndexDirectory": str(folder / "storage"),
            "Plugins": [str(plugin)],
            "LuaScripts": [str(folder / "arrivals.lua")],
            "DicomModalities": {name: [aet, "127.0.0.1", port] for name, (aet, port) in modalities.items()},
            **{
                "ConcurrentJobs": 20,
                "JobsHistorySize": 100,
                "StableAge": 1,
                "DicomScpTimeout": 10,
                "DicomScuTimeout": 10,
            },
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
            **config,
        }
        (folder / "orthanc.json").write_text(json.dumps(configuration))
        self.log = folder / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([program, str(folder / "orthanc.json")], stdout=log, stderr=log)
        until(self._answers, 60, f"Orthanc {title} does not start: {self.log}")

    def _answers(self) -> bool:
        try:
            return bool(self.get("/system"))
        except urllib.error.HTTPError as error:
            return error.code == 401  # it wants a password, and is up
        except OSError:
            assert self.process.poll() is None, self.log.read_text()
            return False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http}"

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path, timeout=30) as answer:
            body = answer.read()
        return json.loads(body) if "json" in answer.headers["Content-Type"] else body

    def post(self, path: str, body: Any) -> Any:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(self.url + path, data), timeout=60) as answer:
            return json.loads(answer.read())

    def upload(self, paths: list[Path]) -> None:
        for path in paths:
            self.post("/instances", path.read_bytes())

    def find(self, level: str, **query: str) -> list[str]:
        """Orthanc's identifiers of what matches."""
        return self.post("/tools/find", {"Level": level, "Query": query})

    def images(self) -> dict[str, bytes]:
        """All its files by SOP Instance UID."""
        found = {}
        for one in self.get("/instances"):
            found[self.get(f"/instances/{one}")["MainDicomTags"]["SOPInstanceUID"]] = self.get(f"/instances/{one}/file")
        return found

    def arrivals(self) -> list[str]:
        """SOP Instance UID of every image that anybody sent, repetitions included."""
        return self.arrivals_file.read_text().split() if self.arrivals_file.exists() else []

    def stop(self) -> None:
        self.process.send_signal(self.end)
        self.process.wait(30)


class Node:
    """The node as a process of its own.

    Args:
        folder: for its queue, settings and log.
        send_to: its destination, as in its settings.
        settings: more of its settings.
    """

    end = signal.SIGTERM

    def __init__(self, folder: Path, send_to: dict[str, Any], **settings: Any) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.spool, self.log = folder, folder / "spool", folder / "log"
        self.port = free_port()
        quick = {"quiet_seconds": 0.3, "quiet_after_abort_seconds": 1.5}
        self.settings = {
            "spool": str(self.spool),
            "destination": send_to,
            "listen": {"port": self.port, **settings.pop("listen", {})},
            "series": {**quick, **settings.pop("series", {})},
            "retry": {"first_seconds": 0.2, "longest_seconds": 1.0},
            "limits": {"timeout_seconds": 5.0, "free_gb": 0.0, **settings.pop("limits", {})},
            "device": "cpu",
            **settings,
        }
        self.file = folder / "node.yaml"
        self.file.write_text(yaml.safe_dump(self.settings))
        self.environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, before: Callable[[], None] | None = None) -> Node:
        """Start it and wait until it listens; `before` runs in the new process first."""
        self.begun = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "mri_denoise.cli.main", "node", str(self.file)]
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=self.environment, preexec_fn=before)
        until(self._listens, 120, "the node does not listen")
        return self

    def _listens(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        return " listening " in self.said()

    def said(self) -> str:
        """Log lines since the last start."""
        return self.log.read_bytes()[self.begun :].decode()

    def kill(self) -> None:
        """End it as a power cut would."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)

    def stop(self) -> int:
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(60)

    def state(self, name: str) -> list[str]:
        return sorted(path.name for path in (self.spool / name).iterdir()) if self.spool.exists() else []

    def wait_done(self, count: int, seconds: float = 120.0) -> None:
        """Wait until so many series are done and none is on its way."""

        def finished() -> bool:
            assert not self.state("failed"), self.log.read_text()
            return len(self.state("done")) == count

        try:
            until(finished, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log.read_text()}") from error


@contextmanager
def running(*servers: Any) -> Iterator[None]:
    """Stop servers at the end, whatever happens."""
    try:
        yield
    finally:
        left = [one for one in servers if one.process is not None and one.process.poll() is None]
        for server in left:
            server.process.send_signal(server.end)  # all at once
        for server in left:
            server.process.wait(60)


def storescu(port: int, *paths: Path, title: str = "MRI_DENOISE", options: tuple[str, ...] = ()) -> Any:
    """Send files or folders with dcmtk; returns the finished process."""
    command = [need("storescu"), "-aec", title, "-aet", "SCANNER", "+sd", "+r", *options, "127.0.0.1", str(port)]
    return subprocess.run([*command, *map(str, paths)], capture_output=True, text=True, timeout=120, check=False)


class StoreScp:
    """dcmtk's storescp: keeps the data sets exactly as received."""

    end = signal.SIGTERM

    def __init__(self, folder: Path, port: int | None = None) -> None:
        folder.mkdir(parents=True)
        self.folder, self.port = folder, port or free_port()
        command = [need("storescp"), "+xa", "+B", "-uf", "-od", str(folder), "-aet", "ARCHIVE", str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def listens() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.port)) == 0

        until(listens, 30, "storescp does not listen")

    @property
    def destination(self) -> dict[str, Any]:
        return {"dicom": {"ae_title": "ARCHIVE", "host": "127.0.0.1", "port": self.port}}

    def files(self) -> list[Path]:
        return sorted(path for path in self.folder.iterdir() if re.match(r"MR|OT|[A-Z]+[a-z]*\.", path.name))

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)
