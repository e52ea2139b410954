"""What mkdocstrings does not know of our code: Sphinx's roles in docstrings, and where defaults have their values."""

from __future__ import annotations

import re

from mkdocs.structure.pages import Page

from mri_denoise.settings import DEFAULTS, Sigma

ROLE = re.compile(r":(?:attr|class|data|exc|func|meth|mod):<code>(?:~[\w.]+\.(?=\w+<))?")
DEFAULT = re.compile(
    r'<span title="mri_denoise.settings.DEFAULTS.(\w+)">\w+</span>'
    r'|<span class="n">DEFAULTS</span><span class="o">.</span><span class="n">(\w+)</span>'
)


def on_post_page(output: str, *, page: Page, **_: object) -> str:
    """Leave names without roles, and modules of names that are marked by ~, and write values of defaults."""
    if page.file.src_uri != "python_reference.md":
        return output
    return DEFAULT.sub(lambda match: _value(match[1] or match[2]), ROLE.sub("<code>", output))


def _value(name: str) -> str:
    value = getattr(DEFAULTS, name)
    return repr(str(value) if isinstance(value, Sigma) else value)
