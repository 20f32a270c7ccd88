"""How pages are made: Jinja templates beside this module, everything escaped, a name that is not given is a defect."""

from __future__ import annotations

from pathlib import Path

import jinja2

from pipeline.wording import counted


def environment_of_templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["of"] = counted
    return environment
