"""Pages in Chromium, opened from disk: what the controls do to the pixels; nothing on the console, nothing loaded."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

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
    anatomy = better + 300 * np.pad(np.ones((8, 8, 4), np.float32), ((14, 14), (20, 12), (6, 4)))
    series = [np.stack([volume, 0.5 * volume, volume], axis=3) for volume in (noisy, anatomy)]
    write_scan(folder / "odd", "sub-3_bold", before=series[0], after=series[1])
    report_folder(folder / "odd" / "out", find_records(folder / "odd" / "out"))
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


def set_range(page: Page, name: str, value: int) -> None:
    page.run(
        f"(() => {{ const s = document.getElementById('{name}'); s.value = {value};"
        " s.dispatchEvent(new Event('input')); })()"
    )


def solid(page: Page) -> np.ndarray:
    """The 3D view as the window shows it, int (rows, columns, RGB)."""
    page.run("document.getElementById('solid-canvas').scrollIntoView({block: 'center', behavior: 'instant'})")
    page.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    box = "JSON.parse(JSON.stringify(document.getElementById('solid-canvas').getBoundingClientRect()))"
    clip = {name: value for name, value in page.run(box).items() if name in ("x", "y", "width", "height")}
    top = page.run("scrollY")
    shot = page.call("Page.captureScreenshot", clip={**clip, "y": clip["y"] + top, "scale": 1})
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(shot["data"]))).convert("RGB")).astype(int)


def violations(page: Page) -> str:
    """What axe-core finds, as JSON."""
    axe = resources.files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    page.run(f"{axe}; 0")
    return page.run("axe.run().then((r) => JSON.stringify(r.violations.map((v) => [v.id, v.nodes[0].html])))")


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


def test_volumes_of_a_series_are_chosen(browser: Page, folder: Path) -> None:
    browser.problems.clear()
    browser.open(folder.parent / "odd" / "out" / "sub-3_bold_report.html")
    browser.wait(READY)
    choose(browser, "before")
    readout = "Number(/after ([0-9.]+)/.exec(document.getElementById('readout').textContent)[1])"
    pixels(browser)
    first = browser.run(readout)
    set_range(browser, "series", 2)
    browser.wait("document.getElementById('series-text').textContent === '2 / 3'")
    pixels(browser)
    assert browser.run(readout) == pytest.approx(first / 2, rel=0.05)
    set_range(browser, "series", 3)
    browser.wait("document.getElementById('series-text').textContent === '3 / 3'")
    pixels(browser)
    assert browser.run(readout) == first
    assert browser.problems == []


def test_the_head_in_3d_is_turned_and_cut_and_shows_what_stands_out(browser: Page, folder: Path) -> None:
    browser.problems.clear()
    browser.open(folder.parent / "odd" / "out" / "sub-3_bold_report.html", 390)
    browser.wait(READY)
    choose(browser, "solid")
    browser.wait("document.getElementById('solid').dataset.ready === 'true'")
    shown = solid(browser)
    assert shown.max() > 60
    red, _, blue = np.moveaxis(shown[:, : shown.shape[1] * 3 // 4][: shown.shape[0] * 3 // 4], 2, 0)  # without the cube
    assert (red - blue).max() > 40  # where 300 were removed
    browser.run("document.getElementById('solid-canvas').focus()")
    browser.key("ArrowLeft", 37)
    turned = solid(browser)
    assert np.abs(turned - shown).max() > 20
    set_range(browser, "solid-cut", 50)
    assert np.abs(solid(browser) - turned).max() > 20
    browser.run("document.getElementById('solid-odd').click()")
    assert browser.run("document.getElementById('solid-status').textContent") == ""
    assert violations(browser) == "[]"
    assert browser.run("document.documentElement.scrollWidth <= innerWidth")
    assert browser.problems == []


def test_without_webgl_a_line_says_so_and_slices_are_shown(scan: Page) -> None:
    scan.run("HTMLCanvasElement.prototype.plain = HTMLCanvasElement.prototype.getContext; 0")
    scan.run(
        "HTMLCanvasElement.prototype.getContext = function (kind, ...more) {"
        " return kind.startsWith('webgl') ? null : this.plain(kind, ...more); }; 0"
    )
    choose(scan, "solid")
    scan.wait("document.getElementById('solid-status').textContent.includes('no WebGL2')")
    choose(scan, "after")
    assert pixels(scan).max() > 100
    assert scan.problems == []


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_pages_fit_and_are_accessible(browser: Page, folder: Path, width: int, dark: bool) -> None:
    browser.problems.clear()
    for name in ("sub-2_T1w_report.html", "mri-denoise-report.html"):
        browser.open(folder / name, width, dark=dark)
        if name.startswith("sub"):
            browser.wait(READY)
        assert browser.run("document.documentElement.scrollWidth <= innerWidth"), name
        assert violations(browser) == "[]", name
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
