"""Pages in Chromium, opened from disk: what the controls do to the pixels; nothing on the console, nothing loaded."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from mri_denoise.report.folder import find_records, report_folder
from tests.browser import Page, chromium
from tests.report.scans import SHAPE, images, write_scan

READY = "document.getElementById('viewer').dataset.ready === 'true'"
# what the first plane shows, drawn to the end
PIXELS = """new Promise((done) => setTimeout(() => requestAnimationFrame(() => {
  const canvas = document.getElementById('plane-axial');
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d', { willReadFrequently: true });
  copy.drawImage(canvas, 0, 0);
  const data = copy.getImageData(0, 0, canvas.width, canvas.height).data;
  const reds = data.filter((_, i) => i % 4 === 0);
  done([canvas.width, btoa(reds.reduce((text, byte) => text + String.fromCharCode(byte), ''))]);
}), 60))"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scans")
    write_scan(folder, "sub-2_T1w")
    noisy, better = images(seed=1)
    write_scan(folder, "sub-10_T1w", before=noisy, after=better, sigma=50.0)
    write_scan(folder, "sub-1_T1w", before=noisy, after=noisy)
    done, _ = report_folder(folder / "out", find_records(folder / "out"))
    assert not any(reported.error for reported in done)
    return folder / "out"


@pytest.fixture(scope="module")
def browser() -> Iterator[Page]:
    with chromium() as page:
        yield page


@pytest.fixture
def scan(browser: Page, folder: Path) -> Page:
    browser.problems.clear()
    browser.open(folder / "sub-2_T1w_report.html")
    browser.wait(READY)
    browser.run("document.getElementById('crosshair').click()")
    return browser


def choose(page: Page, mode: str) -> None:
    page.run(f"document.getElementById('mode-{mode}').click()")


def pixels(page: Page) -> np.ndarray:
    width, data = page.run(PIXELS)
    return np.frombuffer(base64.b64decode(data), dtype=np.uint8).reshape(-1, width)


def centre(page: Page) -> tuple[float, float, float]:
    """The middle of the first plane in the window, and its width."""
    page.run("document.getElementById('plane-axial').scrollIntoView({block: 'center', behavior: 'instant'})")
    left, top, width = page.run(
        "(() => { const b = document.getElementById('plane-axial').getBoundingClientRect();"
        " return [b.left, b.top, b.width]; })()"
    )
    return left + width / 2, top + width / 2, width


def test_wipe_shows_before_on_its_left_and_after_on_its_right(scan: Page) -> None:
    shown = {}
    for mode in ("before", "after", "wipe"):
        choose(scan, mode)
        shown[mode] = pixels(scan)
    clear, middle = slice(30, -30), shown["wipe"].shape[1] // 2  # words and letters stand at the edges
    assert not np.array_equal(shown["before"][clear, clear], shown["after"][clear, clear])
    np.testing.assert_array_equal(shown["wipe"][clear, 30 : middle - 3], shown["before"][clear, 30 : middle - 3])
    np.testing.assert_array_equal(shown["wipe"][clear, middle + 3 : -30], shown["after"][clear, middle + 3 : -30])
    # dragging moves the border
    x, y, width = centre(scan)
    scan.mouse("mousePressed", x, y, button="left", clickCount=1)
    scan.mouse("mouseMoved", x + width / 8, y, button="left", buttons=1)
    scan.mouse("mouseMoved", x + width / 4, y, button="left", buttons=1)
    scan.mouse("mouseReleased", x + width / 4, y, button="left", clickCount=1)
    moved = round(0.75 * shown["wipe"].shape[1])
    np.testing.assert_array_equal(pixels(scan)[clear, 30 : moved - 3], shown["before"][clear, 30 : moved - 3])
    assert scan.run("document.getElementById('wipe').value") == "75"
    assert scan.problems == []


def test_flicker_changes_pixels_until_it_is_paused(scan: Page) -> None:
    choose(scan, "flicker")
    scan.run(
        "(() => { const s = document.getElementById('rate'); s.value = 3; s.dispatchEvent(new Event('input')); })()"
    )
    seen = {pixels(scan).tobytes() for _ in range(20)}
    assert len(seen) == 2  # before and after
    scan.run("document.getElementById('play').click()")
    assert len({pixels(scan).tobytes() for _ in range(8)}) == 1
    assert scan.problems == []


def test_slices_scroll_by_wheel_keys_and_slider_and_the_crosshair_links_the_planes(scan: Page) -> None:
    choose(scan, "after")
    text = "document.getElementById('text-axial').textContent"
    first = pixels(scan)
    x, y, width = centre(scan)
    scan.mouse("mouseWheel", x, y, deltaX=0, deltaY=-100)
    assert not np.array_equal(first, pixels(scan))
    assert scan.run(text) == f"{SHAPE[2] // 2 + 2} / {SHAPE[2]}"
    scan.run("document.getElementById('plane-axial').focus()")
    scan.key("PageDown", 34)
    np.testing.assert_array_equal(pixels(scan), first)
    scan.key("ArrowLeft", 37)  # to the patient's right
    pixels(scan)
    assert scan.run("document.getElementById('text-sagittal').textContent") == f"{SHAPE[0] // 2 + 2} / {SHAPE[0]}"
    for kind in ("mousePressed", "mouseReleased"):
        scan.mouse(kind, x, y + 0.25 * width, button="left", clickCount=1)
    pixels(scan)
    row = int(scan.run("document.getElementById('slice-coronal').value"))
    assert row < SHAPE[1] // 2 - 4  # further back
    readout = scan.run("document.getElementById('readout').textContent")
    assert readout.startswith(f"Voxel {SHAPE[0] // 2 - 1}, {row - 1}, {SHAPE[2] // 2} ")
    assert scan.problems == []


def test_the_place_that_stands_out_is_shown(scan: Page) -> None:
    scan.run("document.querySelector('button[data-voxel]').click()")
    pixels(scan)
    voxel = scan.run("JSON.parse(document.querySelector('button[data-voxel]').dataset.voxel)")
    shown = scan.run("['sagittal', 'coronal', 'axial'].map((n) => document.getElementById(`slice-${n}`).value - 1)")
    assert shown == voxel and scan.run("document.getElementById('mode-removed').checked")


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_pages_fit_and_are_accessible(browser: Page, folder: Path, width: int, dark: bool) -> None:
    browser.problems.clear()
    axe = resources.files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    for name in ("sub-2_T1w_report.html", "mri-denoise-report.html"):
        browser.open(folder / name, width, dark=dark)
        if name.startswith("sub"):
            browser.wait(READY)
        assert browser.run("document.documentElement.scrollWidth <= innerWidth"), name
        browser.run(f"{axe}; 0")
        found = browser.run("axe.run().then((r) => JSON.stringify(r.violations.map((v) => [v.id, v.nodes[0].html])))")
        assert found == "[]", name
    assert browser.problems == []


def test_the_group_is_sorted_and_filtered(browser: Page, folder: Path) -> None:
    browser.problems.clear()
    browser.open(folder / "mri-denoise-report.html")
    names = "[...document.querySelectorAll('#scans tbody tr:not([hidden]) th')].map((cell) => cell.textContent)"
    assert browser.run(names) == ["sub-1_T1w", "sub-2_T1w", "sub-10_T1w"]
    browser.run("document.querySelectorAll('thead button')[0].click()")
    assert browser.run(names) == ["sub-10_T1w", "sub-2_T1w", "sub-1_T1w"]
    browser.run("document.querySelectorAll('thead button')[2].click()")
    assert browser.run(names)[-1] == "sub-10_T1w"  # the largest noise level
    browser.run("document.getElementById('odd').click()")
    assert browser.run(names) == ["sub-1_T1w"]  # nothing was removed
    assert browser.problems == []
