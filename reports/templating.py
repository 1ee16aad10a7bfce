"""Templates: whatever one prints is escaped for Markdown unless it is Markdown already."""

from __future__ import annotations

from pathlib import Path

import jinja2

from reports.escape import Markdown, text

TEMPLATES = Path(__file__).parent / "templates"


def template(name: str) -> jinja2.Template:
    """The template of that name; one that prints what is not given to it fails."""
    environment = jinja2.Environment(  # noqa: S701 - escaped for Markdown by finalize, where HTML's rules do not hold
        loader=jinja2.FileSystemLoader(TEMPLATES),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        finalize=lambda value: value if isinstance(value, Markdown) else text(value),
    )
    return environment.get_template(name)
