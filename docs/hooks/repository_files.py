"""Files outside of docs/ that pages link to become pages of the site, so that a link works there as on GitHub."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)\s#]+)")
LANGUAGES = {".py": "python", ".sh": "bash", **{f".{name}": name for name in ("c", "html", "json", "xml", "yaml")}}

_origins: dict[str, Path] = {}  # where the pages that were added come from


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add a page for each file outside of docs/ that a page links to, and for what these link to."""
    _origins.clear()
    waiting = [Path(file.abs_src_path) for file in files.documentation_pages() if file.abs_src_path]
    while waiting:
        document = waiting.pop()
        for match in LINK.finditer(document.read_text(encoding="utf-8")):
            path = Path(os.path.normpath(document.parent / match[1]))
            if not path.is_relative_to(ROOT) or path.is_relative_to(DOCS) or not path.is_file():
                continue  # MkDocs itself says which links lead nowhere
            name = _page_of(path)
            if name not in _origins:
                _origins[name] = path
                files.append(File.generated(config, name, content=_text(path), inclusion=InclusionLevel.NOT_IN_NAV))
                if path.suffix == ".md":
                    waiting.append(path)
    return files


def on_page_markdown(markdown: str, *, page: Page, **_: Any) -> str:
    """Let links lead to the pages that were added."""
    name = page.file.src_uri
    folder = _origins.get(name, DOCS / name).parent

    def lead(match: re.Match[str]) -> str:
        path = Path(os.path.normpath(folder / match[1]))
        if not path.is_relative_to(ROOT):
            return match[1]
        target = path.relative_to(DOCS).as_posix() if path.is_relative_to(DOCS) else _page_of(path)
        return Path(os.path.relpath(target, Path(name).parent)).as_posix()

    return LINK.sub(lead, markdown)


def _page_of(path: Path) -> str:
    """The place of a file of the repository in the site."""
    name = f"repository/{path.relative_to(ROOT).as_posix()}"
    return name if path.suffix == ".md" else f"{name}.md"


def _text(path: Path) -> str:
    """Markdown as it is; anything else as a block of code, which the search leaves out."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        return text
    head = f"---\ntitle: {path.name}\nsearch: {{exclude: true}}\n---\n\n# `{path.relative_to(ROOT).as_posix()}`\n\n"
    return f"{head}````{LANGUAGES.get(path.suffix, 'text')}\n{text.rstrip()}\n````\n"
