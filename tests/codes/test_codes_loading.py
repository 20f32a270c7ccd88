"""Official files become editions: recognised, whole or not at all, the same bytes again, with findings that name the line."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import tempfile
import zipfile
from datetime import date
from pathlib import Path

import pytest
from codes.files import MUE, PTP, put, workbook, zipped
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import codes
from pipeline.codes import catalogue, editions, loading, sources
from pipeline.errors import Terminal, Transient

DAY = date(2024, 1, 1)


def kept(home: Path) -> dict[str, bytes]:
    """Every file under the home's codes."""
    return {str(p.relative_to(home)): p.read_bytes() for p in sorted((home / "codes").rglob("*")) if p.is_file()}


def edition(home: Path, name: str, day: str) -> editions.Edition:
    return next(e for e in editions.open_set(name, home).all if e.name == day)


# --- recognising ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", [y for y in catalogue.layouts() if y.example], ids=lambda y: y.name)
def test_each_layout_recognises_its_example(layout: catalogue.Layout, tmp_path: Path):
    path = put(tmp_path, "ptp_practitioner mue file.txt", layout.example)
    done = loading.load([path], tmp_path / "home", effective_from=DAY)
    if layout.adds:  # it has nothing to add to
        assert [f.rule for f in done.findings] == ["codes-words-alone"]
        return
    assert not done.failed, done.findings
    assert {e.about.set for e, _ in done.editions} <= set(layout.targets)
    assert sum(e.table.num_rows for e, _ in done.editions) >= 1


def test_every_set_has_a_layout_and_every_layout_fills_the_columns_of_its_sets():
    named = {name for layout in catalogue.layouts() for name in layout.targets}
    assert named == catalogue.sets().keys()
    for layout in catalogue.layouts():
        parts = {*layout.columns, *layout.compose, *re.compile(layout.line).groupindex, *layout.default}
        for name in layout.targets:
            own = set(catalogue.one(name).columns) - {"billable", "lowest", "highest", "facility", "coverage"}
            assert layout.adds or own <= parts, (layout.name, name)


def test_bare_lists_are_told_apart_by_their_names_or_by_the_user(tmp_path: Path):
    status = put(tmp_path, "claim_status.txt", "1\n2\n19\n")
    assert loading.load([status], tmp_path, effective_from=DAY).editions[0][0].about.set == "claim_status"
    other = put(tmp_path, "list.txt", "AA\nBB\n")
    with pytest.raises(Terminal, match="is not a code set file that claimpipe knows"):
        loading.load([other], tmp_path, effective_from=DAY)
    assert loading.load([other], tmp_path, effective_from=DAY, set_name="value").editions[0][0].about.rows == 2


def test_a_table_that_could_be_several_sets_asks(tmp_path: Path):
    path = put(tmp_path, "codes.csv", "Code,Description,Effective Date\n01,Words,2010-10-01\n")
    with pytest.raises(Terminal, match="Say it with --set, one of: revenue, condition"):
        loading.load([path], tmp_path, effective_from=DAY)
    (made, written), *_ = loading.load([path], tmp_path, effective_from=DAY, set_name="occurrence").editions
    assert (made.about.set, written) == ("occurrence", True)


@pytest.mark.parametrize(
    ("name", "code_set", "day"),
    [
        ("icd10cm-order-2025.txt", "icd10cm", date(2024, 10, 1)),
        ("icd10cm_order_list_2026-04.txt", "icd10cm", date(2026, 4, 1)),
        ("HCPC2024_JUL_ANWEB.txt", "hcpcs", date(2024, 7, 1)),
        ("MCR_MUE_PractitionerServices_Eff_07-01-2024.csv", "mue_practitioner", date(2024, 7, 1)),
        ("medicaid-ncci-q3-2024-ptp-edits.txt", "ncci_ptp_practitioner", date(2024, 7, 1)),
        ("cpt 2025.txt", "cpt", date(2025, 1, 1)),
        ("mue.csv", "mue_practitioner", None),
        ("release 2024.txt", "hcpcs", None),  # a year alone says no quarter
    ],
)
def test_the_first_day_is_read_from_the_name(name: str, code_set: str, day: date | None):
    assert catalogue.day_in_name([name], catalogue.one(code_set)) == day


def test_without_a_day_nothing_is_guessed(tmp_path: Path):
    with pytest.raises(Terminal, match="--effective"):
        loading.load([put(tmp_path, "mue.csv", MUE)], tmp_path / "home")
    assert not (tmp_path / "home").exists()


# --- whole or not at all --------------------------------------------------------------------------------------------------


def test_a_bad_row_is_named_by_its_line_and_nothing_is_loaded(tmp_path: Path):
    home = tmp_path / "home"
    loading.load([put(tmp_path, "mue.csv", MUE)], home, effective_from=DAY)
    before = kept(home)
    bad = put(tmp_path, "bad.csv", MUE + "2000,3,2 Policy,Words\n30000,few,2 Policy,Words\n30001,1,1 Line,Words\n")
    done = loading.load([bad], home, effective_from=DAY, set_name="mue_practitioner")
    assert done.failed
    assert done.editions == []
    assert [(f.source, f.severity) for f in done.findings] == [("bad.csv line 6", "error"), ("bad.csv line 7", "error")]
    assert "MUE: practitioner" in done.findings[0].message
    assert "units is not a whole number" in done.findings[1].message
    assert all(f.fix for f in done.findings)
    assert kept(home) == before


def test_a_bad_pair_is_named_by_its_line(tmp_path: Path):
    text = (
        PTP
        + "1\t2\n1000\t20000\t\t20200101\t*\t0\tx\n10000\t20000\t\t20200101\t*\t7\tx\n10000\t20000\t\t2020-13-01\t*\t0\tx\n"
    )
    done = loading.load([put(tmp_path, "ccipra-v1-f1.txt", text)], tmp_path, effective_from=DAY)
    found = {f.source.split(" line ")[1]: f.message for f in done.findings if f.severity == "error"}
    assert found.keys() == {"13", "14", "15", "16"}
    assert "2 columns instead of 7" in found["13"]
    assert "first code" in found["14"]
    assert "modifier indicator" in found["15"]
    assert "effective date" in found["16"]
    assert not (tmp_path / "codes").exists()


def test_a_thousand_bad_rows_are_counted(tmp_path: Path):
    done = loading.load(
        [put(tmp_path, "mue.csv", MUE + "x,1,1,\n" * 1000)], tmp_path, effective_from=DAY, set_name="mue_practitioner"
    )
    assert len(done.findings) == 51
    assert done.findings[-1].message == "950 further lines do not fit."


def test_loading_again_changes_not_a_byte(tmp_path: Path):
    home, path = tmp_path / "home", put(tmp_path, "mue.csv", MUE)
    (_, first), *_ = loading.load([path], home, effective_from=DAY).editions
    stamps = {p: p.stat().st_mtime_ns for p in (home / "codes").rglob("*")}
    before = kept(home)
    (_, second), *_ = loading.load([path], home, effective_from=DAY).editions
    assert (first, second) == (True, False)
    assert kept(home) == before
    assert {p: p.stat().st_mtime_ns for p in (home / "codes").rglob("*")} == stamps


def test_a_corrected_file_of_the_same_day_takes_the_place_of_the_first(tmp_path: Path):
    loading.load([put(tmp_path, "mue.csv", MUE)], tmp_path, effective_from=DAY)
    loading.load([put(tmp_path, "mue.csv", MUE.replace("10000,2", "10000,5"))], tmp_path, effective_from=DAY)
    found = editions.open_set("mue_practitioner", tmp_path).all
    assert [(e.name, e.table.column("units").to_pylist()) for e in found] == [("2024-01-01", [5, 3, 3])]


def test_one_code_with_two_limits_cannot_be_chosen_between(tmp_path: Path):
    done = loading.load([put(tmp_path, "mue.csv", MUE + "10000,9,1 Line Edit,x\n")], tmp_path, effective_from=DAY)
    assert [f.rule for f in done.findings] == ["codes-conflict"]
    assert done.editions == []


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    loading.load([put(tmp_path, "mue.csv", MUE)], tmp_path, effective_from=DAY)
    before = kept(tmp_path)

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(editions.os, "fsync", refuse)
    with pytest.raises(Transient, match="No space left"):
        loading.load([put(tmp_path, "mue.csv", MUE.replace("2,1", "4,1"))], tmp_path, effective_from=DAY)
    monkeypatch.undo()
    assert kept(tmp_path) == before


def test_a_file_cut_short_is_an_error_and_not_a_shorter_list(tmp_path: Path):
    whole = gzip.compress(("".join(f"{n:05d},1,1,x{n}\n" for n in range(20000))).encode())
    path = put(tmp_path, "mue.csv.gz", whole[: len(whole) // 2])
    with pytest.raises(Terminal, match="cannot be read"):
        loading.load([path], tmp_path, effective_from=DAY)


_GOOD = [
    PTP.encode(),
    MUE.encode(),
    b"00001 A00     0 H   H\n00002 A000    1 C   C\n",
    b"code,type,start,end\n1,CARC,1995-01-01,\n",
]


@given(
    st.sampled_from(_GOOD),
    st.lists(st.tuples(st.integers(0, 400), st.binary(max_size=4)), max_size=6),
    st.integers(1, 500),
)
@settings(max_examples=120, deadline=None)
def test_damaged_files_end_in_words_and_load_nothing_or_all(good: bytes, changes: list[tuple[int, bytes]], end: int):
    """Bytes changed, put in or cut off: findings or one sentence, never another failure, never half an edition."""
    data = bytearray(good)
    for at, put_in in changes:
        data[at : at + len(put_in) // 2] = put_in
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        path = put(home, "mue practitioner ccipra.txt", bytes(data[:end]))
        try:
            done = loading.load([path], home, effective_from=DAY)
        except Terminal:
            assert not (home / "codes").exists()
            return
        assert done.failed == (not done.editions)
        assert (home / "codes").exists() == bool(done.editions)


# --- parcels --------------------------------------------------------------------------------------------------------------


def test_parts_given_together_make_one_edition(tmp_path: Path):
    head, rows = PTP.split("10000\t20000", 1)
    lines = ("10000\t20000" + rows).splitlines(keepends=True)
    one = zipped(
        tmp_path, "ccipra-v302r0-f1.zip", {"ccipra-v302r0-f1.TXT": head + "".join(lines[:3]), "readme.pdf": b"%"}
    )
    two = zipped(tmp_path, "ccipra-v302r0-f2.zip", {"ccipra-v302r0-f2.TXT": head + "".join(lines[2:])})
    done = loading.load([two, one], tmp_path, effective_from=date(2024, 7, 1))
    assert [(e.about.set, e.about.rows) for e, _ in done.editions] == [("ncci_ptp_practitioner", 6)]
    assert done.findings == []
    alone = loading.load([two], tmp_path, effective_from=date(2024, 10, 1))
    assert [f.rule for f in alone.findings] == ["codes-part"]


def test_a_workbook_says_the_same_as_the_text(tmp_path: Path):
    rows = [line.split("\t") for line in PTP.splitlines()]
    book = put(tmp_path, "ccipra.xlsx", workbook(rows))
    text = put(tmp_path, "ccipra.txt", PTP)
    a = loading.load([book], tmp_path / "a", effective_from=DAY).editions[0][0]
    b = loading.load([text], tmp_path / "b", effective_from=DAY).editions[0][0]
    assert a.table.to_pylist() == b.table.to_pylist()
    assert a.about.dated
    both = zipped(tmp_path, "ccipra.zip", {"ccipra.xlsx": workbook(rows), "ccipra.txt": PTP})
    assert [s.kind for s in sources.sources(both)] == ["text"]
    limits = put(tmp_path, "mue practitioner.xlsx", workbook([*csv.reader(io.StringIO(MUE))]))
    made = loading.load([limits], tmp_path, effective_from=DAY).editions[0][0]
    assert made.table.column("units").to_pylist() == [2, 3, 3]


def test_a_bomb_and_a_damaged_zip_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sources, "MOST_RATIO", 20)
    bomb = zipped(tmp_path, "bomb.zip", {"mue.csv": b"0" * 30_000_000})
    with pytest.raises(Terminal, match="unpacks to more"):
        loading.load([bomb], tmp_path, effective_from=DAY)
    with pytest.raises(Terminal, match="damaged zip"):
        loading.load([put(tmp_path, "cut.zip", b"PK\x03\x04 no zip")], tmp_path, effective_from=DAY)
    many = zipped(tmp_path, "many.zip", {f"{n}.txt": "x" for n in range(201)})
    with pytest.raises(Terminal, match="201 files"):
        loading.load([many], tmp_path, effective_from=DAY)
    slip = zipped(tmp_path, "slip.zip", {"../../mue practitioner.csv": MUE})
    loading.load([slip], tmp_path / "home", effective_from=DAY)
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_dir()) == ["home"]
    with zipfile.ZipFile(put(tmp_path, "book.zip", workbook([["a"]]))) as book:
        assert book.namelist()


# --- one file, several sets -----------------------------------------------------------------------------------------------


def test_hcpcs_files_hold_codes_and_modifiers_and_continuations(tmp_path: Path):
    text = (
        "HCPC,SEQNUM,RECID,LONG DESCRIPTION,SHORT DESCRIPTION,COV,ADD DT,TERM DT\n"
        "A0021,00100,3,First part,Short,I,19850101,\n"
        "A0021,00200,4,second part,,,,\n"
        "LT,00100,7,Left side,,,19850101,\n"
    )
    done = loading.load([put(tmp_path, "HCPC2024_JUL_ANWEB.csv", text)], tmp_path)
    assert {e.about.set: e.table.column("code").to_pylist() for e, _ in done.editions} == {
        "hcpcs": ["A0021"], "modifier": ["LT"],
    }  # fmt: skip
    assert {e.name for e, _ in done.editions} == {"2024-07-01"}


def test_descriptions_come_with_the_list_or_after_it(tmp_path: Path):
    codes_csv = "hcpcs_code,cov,date_added,date_term\nA0021,I,1985-01-01,\nA0080,I,1982-01-01,\n"
    words = "hcpcs_code,desc_type,description\nA0021,Long,One\nA0021,Long,two\n"
    listed, described = put(tmp_path, "hcpcs_2024-07.csv", codes_csv), put(tmp_path, "words_2024-07.csv", words)
    together = loading.load([described, listed], tmp_path / "a").editions[0][0]
    assert together.table.column("words").to_pylist() == ["One two", ""]
    loading.load([listed], tmp_path / "b")
    loading.load([described], tmp_path / "b")
    assert edition(tmp_path / "b", "hcpcs", "2024-07-01").table.column("words").to_pylist() == ["One two", ""]
    (_, written), *_ = loading.load([described], tmp_path / "b").editions
    assert not written


def test_files_of_the_owners_with_their_own_column_names(tmp_path: Path):
    cpt = put(
        tmp_path,
        "LONGULT.txt",
        "Some words of the owner\n\nConcept Id\tCPT Code\tLong\tMedium\tShort\n1\t10000\tL\tM\tS\n2\t1000T\tL\tM\tS\n",
    )
    assert loading.load([cpt], tmp_path, effective_from=DAY).editions[0][0].about.set == "cpt"
    plain = put(
        tmp_path, "LONGU.txt", "Words of the owner, 2024\nand more\n10000 Words\n1000T Words\n10001 More words\n"
    )
    assert loading.load([plain], tmp_path, effective_from=DAY).editions[0][0].about.rows == 3
    cdt = put(tmp_path, "cdt.csv", "CDT Code,Nomenclature,Descriptor\nD0000,N,D\n")
    assert loading.load([cdt], tmp_path, effective_from=DAY).editions[0][0].about.set == "cdt"
    ours = put(
        tmp_path,
        "mine.csv",
        "code,description,effective_from,effective_to\n10000,W,2020-01-01,2023-12-31\n10000,W,2025-01-01,\n",
    )
    made = loading.load([ours], tmp_path, effective_from=DAY, set_name="cpt").editions[0][0]
    assert made.numbers("start").tolist() == [18262, 20089]


# --- what the samples hold ------------------------------------------------------------------------------------------------

SAMPLES = {
    ("icd10cm/icd10cm-codes-2024.txt.gz",): {"icd10cm": 101_844},
    ("icd10pcs/icd10pcs-codes-2024.txt.gz",): {"icd10pcs": 78_603},
    ("hcpcs/hcpcs_level2_attributes_2024-07.csv", "hcpcs/hcpcs_level2_descriptions_2024-07.csv.gz"): {"hcpcs": 8_033},
    ("hcpcs/modifiers_2024.csv",): {"modifier": 426},
    ("pos/pos_codes_2024.csv",): {"place_of_service": 52},
    ("carc_rarc/adj_codes_numbers_2024-06.csv",): {"adjustment_group": 5, "carc": 405, "rarc": 1171},
    ("mce/H0519F3_ICD10_MCE_AGE.TXT",): {"mce_age": 797},
    ("mce/H0519F3_ICD10_MCE_SEX.TXT",): {"mce_sex": 694},
    ("cms_bfd/CLM-REV-CNTR-CD.csv",): {"revenue": 539},
    ("cms_bfd/CLM-ADMSN-TYPE-CD.csv",): {"admission_type": 10},
    ("x12_external/claim_status.txt",): {"claim_status": 759},
    ("x12_external/claim_status_cat.txt",): {"claim_status_category": 48},
    ("x12_external/entity_id.txt",): {"entity": 218},
    ("x12_external/remark_code.txt",): {"rarc": 998},
    ("x12_external/service_type.txt",): {"service_type": 219},
    ("x12_external/country.txt",): {"country": 239},
    ("x12_external/currency.txt",): {"currency": 156},
    ("x12_external/states.txt",): {"state": 73},
    ("ncci/mue_dme_2024-07.csv",): {"mue_dme": 2_928},
    ("ncci/mue_out_2024-07.csv.gz",): {"mue_outpatient": 14_628},
    ("ncci/mue_prac_2024-07.csv.gz",): {"mue_practitioner": 14_677},
    ("ncci/add_on_codes_2024.csv",): {"ncci_addon": 7_465},
    ("pfs_2024/pfs_anes.csv",): {"pfs_anesthesia": 109},
    ("pfs_2024/pfs_gpci.csv",): {"pfs_gpci": 109},
    ("pfs_2024/pfs_opps.csv.gz",): {"pfs_opps_cap": 17_710},
    ("pfs_2024/pfs_rvu_amt.csv.gz",): {"pfs_rvu": 18_664},
    ("pfs_2024/pfs_rvu_ind.csv.gz",): {"pfs_indicator": 18_664},
}  # fmt: skip


@pytest.mark.parametrize(("names", "rows"), SAMPLES.items(), ids=lambda v: v[0] if isinstance(v, tuple) else "")
def test_the_whole_of_an_official_file_loads(
    names: tuple[str, ...], rows: dict[str, int], samples: Path, tmp_path: Path
):
    done = loading.load([samples / "codes" / name for name in names], tmp_path, effective_from=date(2024, 1, 1))
    assert done.findings == []
    assert {e.about.set: e.about.rows for e, _ in done.editions} == rows


def test_codes_that_are_reserved_or_not_assigned_are_none(samples: Path, tmp_path: Path):
    for name in ("CLM-RLT-COND-CD", "BENE-PTNT-STUS-CD", "CLM-BILL-FREQ-CD", "CLM-POS-CD"):
        path = samples / "codes" / "cms_bfd" / f"{name}.csv"
        (made, _), *_ = loading.load([path], tmp_path, effective_from=DAY).editions
        listed = {row["code"]: row["display"].upper() for row in csv.DictReader(path.open(encoding="utf-8"))}
        ours = set(made.table.column("code").to_pylist())
        left = {code for code, words in listed.items() if code not in ours}
        assert ours | left == listed.keys()
        assert all(words.startswith(("RESERVED", "UNASSIGNED", "PAYER CODE - NOT")) or set(code) == {"~"}
                   for code, words in listed.items() if code in left)  # fmt: skip


def test_the_tabular_list_says_the_same_as_the_list_of_codes(samples: Path, tmp_path: Path):
    folder = samples / "codes" / "icd10cm"
    tabular = codes.load_file(folder / "icd10cm_tabular_2026-04.xml.gz", tmp_path, date(2026, 4, 1))
    shipped = codes.open_icd10cm().editions[0]
    assert tabular.billable == shipped.billable
    assert tabular.headings == shipped.headings


def test_pairs_of_an_official_file_load_whole_and_fast(samples: Path, tmp_path: Path):
    path = samples / "codes" / "ncci" / "ptp_out_2024-07.csv.gz"
    done = loading.load([path], tmp_path)  # 1,775,818 rows, one of which stands there twice
    assert [f.rule for f in done.findings] == ["codes-no-first-day"]
    ((made, _),) = done.editions
    assert (made.about.set, made.about.rows, made.about.dated) == ("ncci_ptp_outpatient", 1_775_817, False)
    size = (tmp_path / "codes/ncci_ptp_outpatient/2024-07-01.arrow").stat().st_size
    assert size < 40_000_000
    about = json.loads(edition(tmp_path, "ncci_ptp_outpatient", "2024-07-01").table.schema.metadata[b"claimpipe"])
    assert about["origin"] == "loaded from ptp_out_2024-07.csv.gz"
    assert len(about["sha256"]) == 64
