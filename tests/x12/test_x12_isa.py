"""Where an interchange begins and which delimiters it declares."""

from __future__ import annotations

import pytest

from pipeline.x12.isa import find_isas, read_isa

ISA = b"ISA*00*          *00*          *ZZ*SENDER         *ZZ*RECEIVER       *260105*0830*^*00501*000000001*0*T*:~"


def test_delimiters_are_read_from_their_places() -> None:
    found = read_isa(ISA.replace(b"*", b"|").replace(b"^", b"!").replace(b":", b">").replace(b"~", b"\n"), 0)
    assert found is not None
    wire = found.wire
    assert (chr(wire.element), chr(wire.repetition), chr(wire.component), chr(wire.segment)) == ("|", "!", ">", "\n")
    assert found.fault == ""


def test_4010_has_no_repetition_separator() -> None:
    found = read_isa(ISA.replace(b"*^*00501*", b"*U*00401*"), 0)
    assert found is not None
    assert found.wire.repetition == -1


@pytest.mark.parametrize(
    "damage",
    [
        ISA[:105],  # cut off
        ISA.replace(b"ISA*", b"ISAX", 1),
        ISA[:-1] + b"A",  # a letter as terminator
        ISA[:104] + b"**",  # one character for two delimiters
        ISA.replace(b"SENDER         ", b"SENDER*        "),  # a separator inside an element
    ],
)
def test_an_isa_whose_delimiters_are_uncertain_is_none(damage: bytes) -> None:
    assert read_isa(damage, 0) is None
    if len(damage) >= 106:
        assert read_isa(damage + b"\nXX*1~", 0) is None


def test_lost_padding_is_read_by_its_separators_under_a_name() -> None:
    found = read_isa(b"ISA*00* *00* *ZZ*S *ZZ*R *260105*0830*U*00401*000000001*0*T*:~\r\nGS*HP*S*R~", 0)
    assert found is not None
    assert found.fault == "envelope.isa_width"
    assert (found.wire.component, found.wire.segment) == (ord(":"), ord("~"))
    assert read_isa(b"ISA*00* *00* *ZZ*S *ZZ*R *260105*0830*U*00401*000000001*0*T*:~\r\nCLP*1~", 0) is None


def test_a_newline_before_each_terminator_is_read_under_a_name() -> None:
    found = read_isa(ISA[:105] + b"\n~GS*HP*S*R\n~", 0)
    assert found is not None
    assert found.fault == "envelope.newline_before_terminator"
    assert found.wire.ragged
    assert found.wire.segment == ord("~")


def test_a_newline_as_terminator_is_no_fault() -> None:
    found = read_isa(ISA[:105] + b"\nGS*HP*S*R\n", 0)
    assert found is not None
    assert (found.fault, found.wire.segment) == ("", ord("\n"))


def test_names_that_contain_isa_are_no_interchange() -> None:
    data = ISA + b"GS*1~NM1*QC*1*ISABEL*LISA~ISA*NOT~" + ISA
    found = list(find_isas(data, 0, 0, len(data), ord("~")))
    assert [(f.position, clean) for f, clean in found] == [(0, True), (len(data) - len(ISA), True)]


def test_an_interchange_in_the_middle_of_a_cut_off_segment_is_found_unclean() -> None:
    data = ISA + b"GS*HP*S" + ISA
    found = list(find_isas(data, 0, 1, len(data), ord("~")))
    assert [(f.position, clean) for f, clean in found] == [(len(ISA) + 7, False)]
