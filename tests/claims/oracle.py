"""A second opinion on files that we write: pyx12, an independent validator with its own maps.

`from claims.oracle import pyx12_errors` in any test (pytest puts tests/ on the path).
"""

from __future__ import annotations

import io
import json

import pyx12.params
import pyx12.x12n_document


def pyx12_errors(data: bytes) -> list[str]:
    """What pyx12 4.0 has against the file, one text an error; empty where it has nothing. 837P/I, 835, 277CA, 999."""
    found = io.StringIO()
    valid = pyx12.x12n_document.x12n_document(
        pyx12.params.ParamsBase(), io.StringIO(data.decode("ascii")), None, None, None, found
    )
    errors: list[str] = []
    _collect(json.loads(found.getvalue() or "{}"), "", errors)
    if not valid and not errors:
        errors.append("pyx12 refuses the file without saying why")
    return errors


def _collect(node: object, path: str, errors: list[str]) -> None:
    if isinstance(node, dict):
        for key, value in node.items():
            if "err" in key.lower() and value:
                errors.append(f"{path}/{key}: {json.dumps(value)}")
            else:
                _collect(value, f"{path}/{key}", errors)
    elif isinstance(node, list):
        for index, value in enumerate(node):
            _collect(value, f"{path}[{index}]", errors)
