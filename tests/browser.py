"""Chromium without a window, driven over its debugging pipe: the DevTools protocol, and no library for it."""

from __future__ import annotations

import base64
import json
import os
import select
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.programs import need

_WAIT = 60.0  # seconds


class Page:
    """A tab of the browser.

    Args:
        send: the end of the pipe that commands go into.
        receive: the end that answers and events come from.
    """

    def __init__(self, send: int, receive: int) -> None:
        self._send, self._receive, self._buffer, self._number = send, receive, b"", 0
        self._session: str | None = None
        self.problems: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Give a command and wait for its answer; what the page says meanwhile is kept in ``problems``."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._send, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self._number:
            self._note(answer)
        assert "error" not in answer, (method, answer["error"])
        return answer["result"]

    def _next(self) -> dict[str, Any]:
        end = time.monotonic() + _WAIT
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._receive], [], [], max(end - time.monotonic(), 0))
            assert ready, "the browser does not answer"
            chunk = os.read(self._receive, 1 << 20)
            assert chunk, "the browser has ended"
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(line)

    def _note(self, event: dict[str, Any]) -> None:
        """Keep errors, everything on the console, and requests that leave the page."""
        method, parameters = event.get("method", ""), event.get("params", {})
        request = parameters.get("request", {}).get("url", "")
        if method in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"):
            self.problems.append(json.dumps(parameters))
        elif method == "Network.requestWillBeSent" and not request.startswith(("file:", "data:", "blob:", "about:")):
            self.problems.append(request)

    def open(self, path: Path, width: int = 1280, *, height: int = 900, dark: bool = False) -> None:
        """Open a file from disk."""
        self.resize(width, height)
        feature = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[feature])
        self.call("Page.navigate", url=path.resolve().as_uri())
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'")

    def resize(self, width: int, height: int = 900) -> None:
        """Set the size of the window in CSS pixels."""
        phone = width < 500
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)

    def run(self, script: str) -> Any:
        """The value of an expression, awaited if it is a promise."""
        result = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def wait(self, condition: str) -> None:
        """Wait until an expression is true."""
        end = time.monotonic() + _WAIT
        while not self.run(condition):
            assert time.monotonic() < end, f"{condition} never came true"
            time.sleep(0.05)

    def key(self, name: str, code: int) -> None:
        """Press a key, by its name and its code for Windows."""
        for kind in ("rawKeyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=name, code=name, windowsVirtualKeyCode=code)

    def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        """Send a mouse event: ``mousePressed``, ``mouseMoved``, ``mouseReleased`` or ``mouseWheel``."""
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def screenshot(self, path: Path) -> Path:
        """Save the whole page as PNG."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(shot["data"]))
        return path


@contextmanager
def chromium() -> Iterator[Page]:
    """A browser that ends with the block; a missing one skips the test, or fails it where CI is set."""
    program = need("chromium")
    to_browser, from_browser = os.pipe(), os.pipe()
    with tempfile.TemporaryDirectory() as home:
        options = ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--no-first-run"]
        # WebGL2 without a card, but plain canvases as before: their pixels are compared
        options += ["--enable-unsafe-swiftshader", "--use-gl=angle", "--use-angle=swiftshader"]
        options += ["--disable-accelerated-2d-canvas"]
        options += ["--remote-debugging-pipe", f"--user-data-dir={home}", "--disable-component-update"]
        # the pipe is the browser's files 3 and 4, which only a shell can promise
        shell = f'exec "$@" 3<&{to_browser[0]} 4>&{from_browser[1]}'
        process = subprocess.Popen(
            ["bash", "-c", shell, "bash", program, *options],
            pass_fds=(to_browser[0], from_browser[1]),
            env={**os.environ, "TMPDIR": home},  # it leaves folders behind
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser[0])
        os.close(from_browser[1])
        try:
            yield Page(to_browser[1], from_browser[0])
        finally:
            os.close(to_browser[1])
            os.close(from_browser[0])
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()
            process.wait()
            time.sleep(0.2)  # its children still write into the folder
