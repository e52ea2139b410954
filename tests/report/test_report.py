"""Reports from outside: the command, the files it writes, what they say and what they never say."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote_to_bytes

import nibabel as nib
import numpy as np
import pytest
import yaml
from PIL import Image

from mri_denoise.bundles.registry import Model
from mri_denoise.record import FileHash
from mri_denoise.report.cite import PAPER, SOFTWARE
from mri_denoise.report.folder import report_record
from mri_denoise.report.group_page import write_group_page
from mri_denoise.report.summary import load_summary
from mri_denoise.simulation import phantom_affine, write_phantom_dicom
from tests.commands import cli, make_bundle
from tests.phantoms import head
from tests.report.scans import SHAPE, images, save, write_scan

ROOT = Path(__file__).parents[2]
NAME = "<img src=x onerror=alert(1)>\"'&"
EVIL = '<img src=x onerror=alert(1)>"></script><script>alert(2)</script>'


class _Tags(HTMLParser):
    """The elements of a page, and its text outside scripts and styles."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text, self._raw = "", False
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._raw = tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._raw = self._raw and tag not in ("script", "style")

    def handle_data(self, data: str) -> None:
        self.text += "" if self._raw else data


def links(page: Path) -> Iterator[str]:
    for _, attributes in _Tags(page).tags:
        yield from (value for name in ("src", "href", "action", "data") if (value := attributes.get(name)))


def test_a_folder_gets_a_page_a_scan_and_one_of_all(tmp_path: Path) -> None:
    names = [f"sub-{i:02}_T1w" for i in range(8)]
    for i, name in enumerate(names):
        noisy, better = images(seed=i, sigma=400 if i == 7 else 40)
        write_scan(tmp_path, name, before=noisy, after=better, sigma=400.0 if i == 7 else 40.0 + i)
    out = tmp_path / "out"
    said = json.loads(cli("report", out, "--json").stdout)
    assert [Path(page["page"]).name for page in said["pages"]] == [f"{name}_report.html" for name in names]
    page, group = out / "sub-00_T1w_report.html", out / "mri-denoise-report.html"
    assert said["group"] == str(group) and said["failed"] == []
    text = _Tags(page).text
    for words in (
        "sub-00_T1w",
        "Does what was removed look like noise?",
        "1.2.3",
        "36 × 40 × 14",
        "321 voxels",
        "How to cite",
    ):
        assert words in text
    assert all(link.startswith("data:image/jpeg;base64,") for link in links(page))
    assert [link for link in links(group) if not link.startswith("data:")] == [
        f"{name}_report.html" for _ in range(2) for name in names
    ]
    rows = re.findall(r"<tr[^>]*><th scope=\"row\">.*?</tr>", group.read_text(encoding="utf-8"))
    marked = [row.count("unlike the others") for row in rows]
    assert len(marked) == 8 and max(marked[:7]) < marked[7] >= 3
    assert "0 reported, 8 kept" in cli("report", out).stdout


def test_nothing_from_a_header_or_name_becomes_markup_and_no_folder_is_named(tmp_path: Path) -> None:
    patient = tmp_path / "Doe^Jane"
    settings = {"sigma": "Doe^Jane/map.nii.gz", EVIL: NAME}
    model = Model(name=EVIL, version=EVIL, weights_sha256=EVIL)
    case = f"Doe^Jane/{NAME}.nii.gz"
    write_scan(patient, case=case, settings=settings, time=EVIL, model=model, descrip="Doe^Jane")
    cli("report", patient / "out")
    page = patient / "out" / "sub-01_T1w_report.html"
    found = _Tags(page)
    assert EVIL in found.text and NAME in found.text and "sigma map.nii.gz" in found.text
    scripts = [attributes.get("type") for tag, attributes in found.tags if tag == "script"]
    assert scripts == ["application/json", "application/json", "text/plain", "text/plain", "text/plain", None]
    assert not any("onerror" in attributes for _, attributes in found.tags)
    assert "Doe^Jane" not in page.read_text(encoding="utf-8")
    policies = [attributes["content"] for _, attributes in found.tags if "http-equiv" in attributes]
    assert len(policies) == 1 and "default-src 'none'" in policies[0] and "sha256-" in policies[0]
    group = _Tags(patient / "out" / "mri-denoise-report.html")
    assert NAME in group.text and not any("onerror" in attributes for _, attributes in group.tags)


def test_what_is_wrong_is_said_in_one_line_and_the_rest_goes_on(tmp_path: Path) -> None:
    good, changed, gone, rebuilt, odd, foreign = (
        write_scan(tmp_path, name) for name in ("good", "changed", "gone", "rebuilt", "odd", "foreign")
    )
    raw, out = tmp_path / "raw", tmp_path / "out"
    noisy, better = images()
    save(raw / "changed.nii.gz", noisy + 1)
    (raw / "gone.nii.gz").unlink()
    save(out / "rebuilt_residual.nii.gz", noisy - better)
    (raw / "rebuilt.nii.gz").unlink()
    content = json.loads(rebuilt.read_text()) | {"companions": [str(out / "rebuilt_residual.nii.gz")]}
    rebuilt.write_text(json.dumps(content))
    odd.write_text("{}")
    (out / "foreign_report.html").write_text("mine")
    result = cli("report", out, code=1)
    assert "2 reported, 0 kept, 4 failed" in result.stdout
    for words in (
        "changed.nii.gz: has changed",
        "gone.nii.gz: the input is gone",
        "odd.mri-denoise.json: not the record",
    ):
        assert words in result.stderr
    assert "foreign_report.html: exists" in result.stderr and (out / "foreign_report.html").read_text() == "mine"
    assert "rebuilt from the result" in _Tags(out / "rebuilt_report.html").text
    assert load_summary(out / "rebuilt_report.html").ratio == pytest.approx(
        load_summary(out / "good_report.html").ratio
    )
    assert sorted(path.name for path in out.glob("*.html")) == [
        "foreign_report.html", "good_report.html", "mri-denoise-report.html", "rebuilt_report.html"
    ]  # fmt: skip
    (out / "mri-denoise-report.html").write_text("mine too")
    assert "not overwritten" in cli("report", out, "--overwrite", code=1).stderr
    assert (out / "mri-denoise-report.html").read_text() == "mine too"


def test_a_relative_path_from_another_folder_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An input that was named from where the user was is not gone, it is not found from elsewhere."""
    (tmp_path / "study").mkdir()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "study")
    write_scan(Path())
    monkeypatch.chdir(tmp_path / "elsewhere")
    found = cli("report", "../study/out", code=1)
    assert "run from the folder where it was denoised" in found.stderr
    monkeypatch.chdir(tmp_path / "study")
    assert "1 reported" in cli("report", "out").stdout


def test_noisy_copies_in_the_folder_are_no_results(tmp_path: Path) -> None:
    write_scan(tmp_path, "scan")
    cli("simulate", tmp_path / "raw" / "scan.nii.gz", tmp_path / "out" / "noisy.nii.gz")
    assert "1 reported, 0 kept, 0 failed" in cli("report", tmp_path / "out").stdout
    cli("simulate", tmp_path / "raw" / "scan.nii.gz", tmp_path / "copies" / "noisy.nii.gz")
    assert "no run record" in cli("report", tmp_path / "copies", code=1).stderr


def test_a_folder_without_records_and_no_folder(tmp_path: Path) -> None:
    assert "no run record" in cli("report", tmp_path, code=1).stderr
    assert "no such folder" in cli("report", tmp_path / "none", code=2).stderr
    (tmp_path / "file").touch()
    assert "is a file" in cli("report", tmp_path / "file", code=2).stderr


def test_series_and_odd_values(tmp_path: Path) -> None:
    noisy, better = images()
    noisy[0, 0, 0], noisy[1, 0, 0] = np.nan, -5
    write_scan(
        tmp_path,
        before=np.stack([noisy, noisy], axis=3),
        after=np.stack([better, better], axis=3),
        sigma_variation=[2.0],
    )
    text = _text_after(tmp_path)
    for words in ("Volumes 1 and 2 are shown", "first of 2 volumes", "1 voxels", "Negative values", "varies over"):
        assert words in text


def test_a_pair_whose_result_has_the_header_of_its_source(tmp_path: Path) -> None:
    """Of the header alone, byte for byte that of the source, the result would pass for the input."""
    noisy, better = images()
    files: list[FileHash] = []
    for folder, array in (("raw", noisy), ("out", better)):
        (tmp_path / folder).mkdir(parents=True)
        nib.save(nib.Nifti1Pair(array, phantom_affine(SHAPE)), tmp_path / folder / "scan.img")
        paths = [tmp_path / folder / f"scan.{ending}" for ending in ("hdr", "img")]
        files += [FileHash(path=str(path), sha256=hashlib.sha256(path.read_bytes()).hexdigest()) for path in paths]
    assert files[0].sha256 == files[2].sha256
    single = report_record(write_scan(tmp_path, name="single"))
    record = write_scan(tmp_path, name="scan", inputs=files[:2], outputs=[file.path for file in files[2:]])
    made = report_record(record)
    assert made.page is not None and single.page is not None
    found, same = load_summary(made.page), load_summary(single.page)
    assert found.ratio == pytest.approx(same.ratio) and found.snr_before == pytest.approx(same.snr_before)
    (tmp_path / "raw" / "scan.img").write_bytes(b"other")
    made.page.unlink()
    assert "scan.img: has changed since it was denoised" in report_record(record).error


@pytest.mark.parametrize(("sign", "zero"), [(1, -1024.0), (1, 300.0), (-1, 0.0), (-1, 500.0)])
def test_an_image_that_counts_from_another_value_is_judged_as_if_from_0(tmp_path: Path, sign: int, zero: float) -> None:
    plain, moved = (
        report_record(
            write_scan(
                tmp_path / name, before=s * images()[0] + np.float32(z), after=s * images()[1] + np.float32(z), zero=[z]
            )
        )
        for name, s, z in (("plain", 1, 0.0), ("moved", sign, zero))
    )
    assert plain.page is not None and moved.page is not None
    one, other = load_summary(plain.page), load_summary(moved.page)
    for name in ("snr_before", "snr_after", "ratio", "image", "spot"):
        assert getattr(other, name) == pytest.approx(getattr(one, name), rel=0.01)
    assert "Negative values" not in moved.page.read_text() and other.status == one.status == "good"


def test_an_image_of_both_signs_has_no_signal_to_noise_ratio(tmp_path: Path) -> None:
    noisy, better = (array - np.float32(400) for array in images())
    made = report_record(write_scan(tmp_path, before=noisy, after=better, zero=[-5000.0]))
    assert made.page is not None
    found, text = load_summary(made.page), made.page.read_text()
    assert found.snr_before is found.snr_after is None and found.ratio == pytest.approx(0.5, abs=0.05)
    assert "it has no SNR" in text and "Negative values" in text and "e+0" not in _Tags(made.page).text


def test_a_long_series_shows_volumes_from_the_first_to_the_last(tmp_path: Path) -> None:
    before = np.random.default_rng(0).normal(100, 10, (9, 8, 7, 33)).astype(np.float32)
    write_scan(tmp_path, before=before, after=before + 1, sigma=10.0)
    assert "Volumes 1, 5, 9, 13, 17, 21, 25, 29 and 33 are shown." in _text_after(tmp_path)


@pytest.mark.parametrize("shape", [(1, 1, 1), (30, 30, 1), (1, 9, 9), (3, 4, 5)])
@pytest.mark.parametrize("values", ["noise", "zero", "not a number", "huge"])
def test_images_of_any_shape_and_value_have_a_page(tmp_path: Path, shape: tuple[int, ...], values: str) -> None:
    noise = np.random.default_rng(0).normal(100, 10, shape).astype(np.float32)
    factor = {"noise": 1.0, "zero": 0.0, "not a number": np.nan, "huge": 1e36}[values]
    record = write_scan(tmp_path, before=noise * np.float32(factor), after=(noise + 1) * np.float32(factor), sigma=10.0)
    made = report_record(record)
    assert made.error == "" and made.page is not None and load_summary(made.page).name == "sub-01_T1w"


def test_a_picture_of_a_model_without_noise_level(tmp_path: Path) -> None:
    record = write_scan(tmp_path, sigma=None)
    rng = np.random.default_rng(0)
    paths = []
    for name in ("raw", "out"):
        paths.append(tmp_path / name / "slice.png")
        Image.fromarray(rng.integers(0, 255, (40, 30), dtype=np.uint8)).save(paths[-1])
    inputs = [{"path": str(paths[0]), "sha256": hashlib.sha256(paths[0].read_bytes()).hexdigest()}]
    record.write_text(json.dumps(json.loads(record.read_text()) | {"inputs": inputs, "outputs": [str(paths[1])]}))
    text = _text_after(tmp_path)
    assert "40 × 30 pixels" in text and "No noise level is known" in text


def test_a_picture_with_its_maps_also_when_the_input_is_gone(tmp_path: Path) -> None:
    bundle, source, out = make_bundle("hmad_rician", tmp_path / "bundle"), tmp_path / "slice.png", tmp_path / "out"
    Image.fromarray(np.random.default_rng(0).integers(20, 200, (32, 40), dtype=np.uint8)).save(source)
    options = ("--model", bundle, "--residual", "--noise-map", "--report", "--device", "cpu")
    assert "1 denoised" in cli("denoise", source, out, *options).stdout
    (page,) = out.glob("*_report.html")
    assert any(attributes.get("id") == "noise-1" for _, attributes in _Tags(page).tags)
    source.unlink()
    page.unlink()
    cli("report", out)
    assert "rebuilt" in _Tags(page).text


def test_a_picture_that_was_resized(tmp_path: Path) -> None:
    source, out = tmp_path / "slice.png", tmp_path / "out"
    Image.fromarray((200 * head((50, 60, 8))[:, :, 4]).astype(np.uint8)).save(source)
    bundle = make_bundle("hmad_salt_pepper", tmp_path / "bundle")
    options = ("--model", bundle, "--picture-size", 24, "--residual", "--report", "--device", "cpu")
    assert "1 denoised" in cli("denoise", source, out, *options).stdout
    (page,) = out.glob("*_report.html")
    text = _Tags(page).text
    assert "24 × 24 pixels" in text and "--picture-size" in text
    # the input at that size, made by another library, is what the run saw: result plus residual
    with_input = load_summary(page)
    source.unlink()
    cli("report", out, "--overwrite")
    rebuilt = load_summary(page)
    assert (with_input.ratio, rebuilt.ratio) == (None, None)
    assert with_input.image == pytest.approx(rebuilt.image, abs=0.02)


def _text_after(folder: Path) -> str:
    cli("report", folder / "out")
    return _Tags(folder / "out" / "sub-01_T1w_report.html").text


def test_denoise_with_report_nifti_and_dicom(tmp_path: Path) -> None:
    bundle = make_bundle("hmad_rician", tmp_path / "bundle")
    noisy, _ = images()
    save(tmp_path / "in" / "head.nii.gz", noisy)
    write_phantom_dicom(tmp_path / "in" / "series", head(SHAPE), (4.0, 4.0, 10.0))
    out = tmp_path / "out"
    options = ("--model", bundle, "--report", "--noise-map", "--quality", "fast")
    cli("denoise", tmp_path / "in", out, *options)
    pages = sorted(out.rglob("*_report.html"))
    assert len(pages) == 2 and (out / "mri-denoise-report.html").is_file()
    assert "Noise map" in _Tags(out / "head_report.html").text
    record = json.loads((out / "head.mri-denoise.json").read_text())
    assert str(out / "head_report.html") in record["companions"]
    # the pages are those that the command on its own makes
    assert "0 reported, 2 kept" in cli("report", out).stdout
    content = pages[0].read_bytes()
    cli("report", out, "--overwrite")
    assert pages[0].read_bytes() == content
    assert len(write_group_page(pages, tmp_path / "other.html")) == 2


@pytest.mark.parametrize("name", ["low_noise", "a_residual", "desc-sigma_T1w"])
def test_a_scan_may_be_called_as_a_map_is(tmp_path: Path, name: str) -> None:
    source = save(tmp_path / "raw" / f"{name}.nii.gz", images()[0])
    bundle = make_bundle("hmad_rician", tmp_path / "bundle")
    options = ("--model", bundle, "--sigma", 40, "--report")
    cli("denoise", source, tmp_path / "out", *options)
    assert "Noise map" not in _Tags(tmp_path / "out" / f"{name}_report.html").text
    cli("denoise", source, tmp_path / "maps", *options, "--noise-map", "--residual")
    page = tmp_path / "maps" / f"{name}_report.html"
    assert "Noise map" in _Tags(page).text
    source.unlink()  # rebuilt from the residual
    page.unlink()
    cli("report", tmp_path / "maps")
    assert "rebuilt from the result" in _Tags(page).text and "Noise map" in _Tags(page).text


@pytest.mark.skipif(sys.platform != "linux", reason="other systems let no name be written that is not Unicode")
def test_names_of_other_encodings_are_linked(tmp_path: Path) -> None:
    """As an archive that was unpacked on another system leaves them."""
    for name in (b"M\xfcller_T1", "Müller_T2".encode(), b"50% #1?", b"a\tb\nc"):
        write_scan(tmp_path, name=os.fsdecode(name))
    cli("report", tmp_path / "out")
    found = [
        unquote_to_bytes(link) for link in links(tmp_path / "out" / "mri-denoise-report.html") if "_report" in link
    ]
    assert len(set(found)) == 4 and all((tmp_path / "out" / os.fsdecode(link)).is_file() for link in found)


def test_the_citation_is_that_of_the_repository() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["title"] == SOFTWARE and citation["references"][0]["title"] == PAPER
