"""'The remittances of our biggest payer stay on the server: no IEA, it says, but the IEA is there.' A patient was called LISA."""

import pytest

from pipeline.transport.routing import incomplete

ISA = b"ISA*00*          *00*          *ZZ*PAYER          *ZZ*CLINIC         *261120*0000*^*00501*000000007*0*T*:~"


@pytest.mark.parametrize("name", [b"LISA", b"ISA", b"ISABEL", b"ISA*ISA"])
def test_the_letters_isa_in_a_name_are_no_header(name):
    body = ISA + b"GS*HP*A*B*20261120*0000*7*X*005010X221A1~NM1*QC*1*DOE*" + name + b"~"
    assert incomplete(body + b"GE*1*7~IEA*1*000000007~") == ""
    assert incomplete(body) == "no_iea"


def test_an_iea_of_an_earlier_interchange_does_not_end_a_later_one():
    whole = ISA + b"IEA*0*000000007~"
    assert incomplete(whole + ISA) == "no_iea"
    assert incomplete(whole + whole) == ""
