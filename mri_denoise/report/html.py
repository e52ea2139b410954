"""Pages from templates: every text is escaped, nothing is loaded from anywhere, and no other script can run."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from mri_denoise import __version__
from mri_denoise.errors import printable
from mri_denoise.io.files import write_beside

PAGE = Path(__file__).parent / "page"
_SCRIPTS = {"scan.html": ("volumes.js", "planes.js", "solid.js", "viewer.js"), "group.html": ("group.js",)}


@dataclass(frozen=True, kw_only=True)
class Library:
    """A script of others that a page carries and runs when it is needed.

    Args:
        packed: base64 of gzip of the script.
        digest: base64 of its SHA-256, by which the page's policy lets it run.
    """

    packed: str
    digest: str


@cache
def niivue() -> Library:
    """NiiVue, which draws volumes in 3D; see docs/decisions/0016-niivue.md."""
    script = (PAGE / "niivue" / "niivue.umd.js").read_bytes()
    return Library(packed=base64.b64encode(gzip.compress(script, mtime=0)).decode(), digest=_digest(script))


def render(template: str, library: Library | None = None, **values: Any) -> str:
    """Fill a template.

    Args:
        template: ``"scan.html"`` or ``"group.html"``.
        library: a script that it carries.
        values: what it names.

    Returns:
        the page, which needs no other file.
    """
    body = "\n".join((PAGE / name).read_text(encoding="utf-8") for name in _SCRIPTS[template])
    script = f'"use strict";\n(() => {{\n{body}}})();\n'
    digests = [_digest(script.encode()), *([library.digest] if library else [])]
    # https://www.w3.org/TR/CSP3/: without a network, and with these scripts alone
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {allowed}"
    style = Markup((PAGE / "style.css").read_text(encoding="utf-8"))
    return (
        _environment()
        .get_template(template)
        .render(**values, library=library, script=Markup(script), style=style, policy=policy, version=__version__)
    )


def write_page(text: str, path: Path) -> Path:
    """Write a page, whole or not at all.

    Raises:
        OutputError: if it cannot be written.
    """
    with write_beside(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")
    return path


def _digest(script: bytes) -> str:
    return base64.b64encode(hashlib.sha256(script).digest()).decode()


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(PAGE),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_plain,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    environment.filters["data"] = _data
    return environment


def _plain(value: Any) -> Any:
    """A text of a header or name without characters that steer a terminal or turn the direction of writing.

    Whoever saves a page as text and shows it in a terminal is as safe as one who looks at it.
    """
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return "\n".join(line if line.isprintable() else printable(line) for line in value.split("\n"))


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
