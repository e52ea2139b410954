"""The documentation as a site: it builds without a warning, holds what the code offers, and needs no other host."""

from __future__ import annotations

import os
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest
import typer

import mri_denoise
from mri_denoise.cli.main import app

ROOT = Path(__file__).parents[2]
LOADED = {"img": "src", "link": "href", "script": "src", "iframe": "src"}


class Elements(HTMLParser):
    """What a page holds: attributes of each element by its tag, and identifiers."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def ids(self) -> set[str]:
        return {attributes["id"] or "" for _, attributes in self.found if "id" in attributes}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        import material  # noqa: F401
        import mkdocstrings  # noqa: F401
        from mkdocs.commands.build import build
        from mkdocs.config import load_config
    except ImportError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"{error.name} is not installed: the extra docs")
    folder = tmp_path_factory.mktemp("site")
    build(load_config(str(ROOT / "mkdocs.yml"), site_dir=str(folder), strict=True))
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Elements]:
    return {page: Elements(page) for page in sorted(site.rglob("*.html"))}


def test_every_command_and_every_public_name_is_in_the_reference(pages: dict[Path, Elements], site: Path) -> None:
    group = typer.main.get_command(app)
    headings = pages[site / "command_line.html"].ids()
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        for child in ("", *getattr(command, "commands", {})):
            assert f"mri-denoise-{name}{'-' * bool(child)}{child}" in headings, (name, child)
    text = (site / "command_line.html").read_text(encoding="utf-8")
    for option in ("--strength", "--participant-label", "--max-gb"):
        assert option in text
    documented = {name.rpartition(".")[2] for name in pages[site / "python_reference.html"].ids()}
    assert set(mri_denoise.__all__) <= documented
    reference = (site / "python_reference.html").read_text(encoding="utf-8")
    assert not re.search(r":(class|func|meth|mod):", reference) and "DEFAULTS" not in reference


def test_pages_load_nothing_from_another_host_and_pictures_have_a_text(pages: dict[Path, Elements]) -> None:
    for page, elements in pages.items():
        for tag, attributes in elements.found:
            source = attributes.get(LOADED.get(tag, ""))
            assert not re.match(r"(\w+:)?//", source or ""), f"{page}: {source}"
            assert tag != "img" or attributes.get("alt"), f"{page}: {attributes}"


def test_every_link_inside_the_site_leads_somewhere(pages: dict[Path, Elements], site: Path) -> None:
    for page, elements in pages.items():
        if page.name == "404.html":  # its links start at the root of a server
            continue
        for tag, attributes in elements.found:
            target, anchor = urldefrag(attributes.get("href") or "")
            if tag != "a" or re.match(r"\w+:", target) or "href" not in attributes:
                continue
            there = Path(os.path.normpath(page.parent / unquote(target))) if target else page
            assert there.exists(), f"{page}: {target}"
            if anchor and there in pages:
                assert unquote(anchor) in pages[there].ids(), f"{page}: {target}#{anchor}"
