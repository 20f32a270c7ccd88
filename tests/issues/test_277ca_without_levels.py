"""'One damaged acknowledgment stopped the reading of the whole folder.' Its first HL was lost, so a status belonged to no level."""

from pipeline.transactions import read

SET = (
    "ISA*00*          *00*          *ZZ*PAYER          *ZZ*CLINIC         *261120*0200*^*00501*000000001*0*T*:~"
    "GS*HN*PAYER*CLINIC*20261120*0200*1*X*005010X214~ST*277*0001*005010X214~BHT*0085*08*R1*20261120*0200*TH~"
    "NM1*41*2*CLINIC*****46*C1~TRN*2*B1~STC*A1:19:PR*20261121*WQ*150.5~SE*6*0001~GE*1*1~IEA*1*000000001~"
)


def test_a_status_without_a_level_is_read_as_of_an_unknown_one():
    result = read(SET.encode())
    rows = result.tables["277CA.statuses"].to_pylist()
    assert [(r["level"], r["entity"], r["trace"], str(r["amount"])) for r in rows] == [
        ("unknown", "41", "B1", "150.50")
    ]
    assert [(f.segment, f.segment_id) for f in result.findings] == [(7, "STC")]
