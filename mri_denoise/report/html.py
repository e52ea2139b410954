"""Pages from templates: every text is escaped, nothing is loaded from anywhere, and no other script can run."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from mri_denoise import __version__
from mri_denoise.io.files import write_beside

PAGE = Path(__file__).parent / "page"
_SCRIPTS = {"scan.html": ("volumes.js", "planes.js", "viewer.js"), "group.html": ("group.js",)}


def render(template: str, **values: Any) -> str:
    """Fill a template.

    Args:
        template: ``"scan.html"`` or ``"group.html"``.
        values: what it names.

    Returns:
        the page, which needs no other file.
    """
    body = "\n".join((PAGE / name).read_text(encoding="utf-8") for name in _SCRIPTS[template])
    script = f'"use strict";\n(() => {{\n{body}}})();\n'
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    # https://www.w3.org/TR/CSP3/: without a network, and with this one script
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    style = Markup((PAGE / "style.css").read_text(encoding="utf-8"))
    return (
        _environment()
        .get_template(template)
        .render(**values, script=Markup(script), style=style, policy=policy, version=__version__)
    )


def write_page(text: str, path: Path) -> Path:
    """Write a page, whole or not at all.

    Raises:
        OutputError: if it cannot be written.
    """
    with write_beside(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")
    return path


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(PAGE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["number"] = number
    environment.filters["data"] = _data
    return environment


def number(value: float | None, digits: int = 4) -> str:
    """A number for a reader: significant digits, an exponent only below 0.0001 and from a thousand million on.

    Args:
        value: None, NaN and infinity become a dash.
        digits: how many count.

    Examples:
        >>> number(1234.56), number(123456.0, 3), number(-0.05), number(None)
        ('1235', '123456', '−0.05', '–')
    """
    if value is None or not math.isfinite(value):
        return "–"
    text = f"{value:.{digits}g}"
    return (f"{value:.0f}" if "e+" in text and abs(value) < 1e9 else text).replace("-", "−", 1 if value < 0 else 0)


def _data(value: Any) -> Markup:
    """JSON inside a script element, with the characters escaped that could end it."""
    return htmlsafe_json_dumps(value, dumps=lambda v, **_: json.dumps(v, allow_nan=False, separators=(",", ":")))
