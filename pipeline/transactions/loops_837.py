"""Which loop an NM1 of an 837 stands in: by guide, place and NM101. Data, read by `claims_837`."""

from __future__ import annotations

_ABOVE: dict[tuple[str, tuple[str, ...]], str] = {
    ("header", ("41",)): "1000A",
    ("header", ("40",)): "1000B",
    ("billing", ("85",)): "2010AA",
    ("billing", ("87",)): "2010AB",
    ("billing", ("PE",)): "2010AC",
    ("subscriber", ("IL",)): "2010BA",
    ("subscriber", ("PR",)): "2010BB",
    ("patient", ("QC",)): "2010CA",
    ("other", ("IL",)): "2330A",
    ("other", ("PR",)): "2330B",
}


def _loops(prefix: str, place: str, entities: str) -> dict[tuple[str, tuple[str, ...]], str]:
    """`"DN/P3 82"` → the first loop for DN or P3, the second for 82."""
    return {
        (place, tuple(group.split("/"))): f"{prefix}{chr(ord('A') + i)}"
        for i, group in enumerate(entities.split())
        if group != "-"
    }


LOOPS: dict[str, dict[tuple[str, tuple[str, ...]], str]] = {
    "5010P": {
        **_ABOVE,
        **_loops("2310", "claim", "DN/P3 82 77 DQ PW 45"),
        **_loops("2330", "other", "- - DN/P3 82 77 DQ 85"),
        **_loops("2420", "line", "82 QB 77 DQ DK DN/P3 PW 45"),
    },
    "5010I": {
        **_ABOVE,
        **_loops("2310", "claim", "71 72 ZZ 82 77 DN"),
        **_loops("2330", "other", "- - 71 72 ZZ 77 82 DN 85"),
        **_loops("2420", "line", "72 ZZ 82 DN"),
    },
    "5010D": {
        **_ABOVE,
        **_loops("2310", "claim", "DN/P3 82 77 DD DQ"),
        **_loops("2330", "other", "- - DN/P3 82 DQ 85 77 DD"),
        **_loops("2420", "line", "82 DD DQ 77"),
    },
    "4010P": {
        **_ABOVE,
        ("subscriber", ("QD",)): "2010BC",
        ("subscriber", ("AO",)): "2010BD",
        **_loops("2310", "claim", "DN/P3 82 QB 77/FA/LI/TL DQ"),
        **_loops("2330", "other", "- - QC DN/P3 82 QB 77/FA/LI/TL DQ"),
        **_loops("2420", "line", "82 QB 77/FA/LI/TL DQ DK DN/P3 PR"),
    },
    "4010I": {
        **_ABOVE,
        ("subscriber", ("AO",)): "2010BB",
        ("subscriber", ("PR",)): "2010BC",
        ("subscriber", ("QD",)): "2010BD",
        **_loops("2310", "claim", "71 72 73 - FA"),
        **_loops("2330", "other", "- - QC 71 72 73 - FA"),
        **_loops("2420", "line", "71 72 73"),
    },
    "4010D": {
        **_ABOVE,
        ("subscriber", ("AO",)): "2010BC",
        **_loops("2310", "claim", "DN/P3 82 FA/77 DD"),
        **_loops("2330", "other", "- - QC DN/P3 82"),
        **_loops("2420", "line", "82 PR DD"),
    },
}

_GUIDES = {"X222": "5010P", "X223": "5010I", "X224": "5010D", "X098": "4010P", "X096": "4010I", "X097": "4010D",
           "X291": "5010P", "X298": "5010P", "X299": "5010I", "X300": "5010D"}  # fmt: skip


def guide_of(version: str) -> str | None:
    """`005010X222A1` → `5010P`; None where the name tells nothing."""
    return next((guide for mark, guide in _GUIDES.items() if mark in version), None)
