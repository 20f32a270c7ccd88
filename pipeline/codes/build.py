"""Make the shipped ICD-10-CM edition from the package simple-icd-10-cm (MIT): numbers and levels, no descriptions.

Run by hand when the package brings a newer list: `python -m pipeline.codes.build`.
"""

from __future__ import annotations

from datetime import date

from pipeline import shapes
from pipeline.codes.icd10cm import Edition, shaped, write_edition


def edition() -> Edition:
    """The package's list of April 2026."""
    import simple_icd_10_cm as package  # takes two seconds: only here

    codes = [code for code in package.get_all_codes(False) if shaped(code)]
    leaves = frozenset(code for code in codes if package.is_leaf(code))
    return Edition(
        "2026-04-01", date(2026, 4, 1), date(2026, 9, 30), leaves, frozenset(codes) - leaves,
        "simple-icd-10-cm 1.5.0: list of 1 April 2026",
    )  # fmt: skip


if __name__ == "__main__":
    print(write_edition(edition(), shapes.schemas_dir() / "codes" / "icd10cm"))
