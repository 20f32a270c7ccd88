from __future__ import annotations

import io
import time
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import paramiko
import pytest
from payer_simulator.box import BoxUnderTest
from payer_simulator.claims_837 import file_837, many
from payer_simulator.test_payer_answers import answered, elements
from payer_simulator.x12_oracle import assert_balanced, bai2_deposits, nacha_entries, remittances

from pipeline.errors import Terminal
from pipeline.payer_simulator import process
from pipeline.payer_simulator.answers import Answered
from pipeline.payer_simulator.faults import KINDS, Fault, FaultPlan, load_faults
from pipeline.settings import Settings
from pipeline.x12.validator import validate

DATA = file_837(many(60), control=4)


def fault(kind: str, **options: Any) -> str:
    lines = [f"{k} = {v!r}".replace("'", '"') for k, v in options.items()]
    return "\n".join(["[[fault]]", f'kind = "{kind}"', *lines]) + "\n"


#: seconds until what is late comes: enough to look at what is there before, on a machine with much to do
GRACE = 4.0


def link_broken() -> Any:
    """A connection that ends without an answer, as paramiko tells it."""
    return pytest.raises((OSError, EOFError, paramiko.SSHException))


# --- the link ---------------------------------------------------------------------------------------------------------


def test_refuse_login(box: BoxUnderTest) -> None:
    box.start(fault("refuse_login", times=2, payer="medicare"))
    with box.session("bank"):
        pass  # meant for another user
    for _ in range(2):
        with pytest.raises(paramiko.AuthenticationException), box.session():
            pass
    with box.session() as sftp:
        assert sftp.listdir("/inbound") == []
    assert [e["kind"] for e in box.events("fault")] == ["refuse_login"] * 2


def test_host_key_changed(box: BoxUnderTest) -> None:
    box.start(fault("host_key_changed"))
    for _ in range(2):
        with pytest.raises(paramiko.BadHostKeyException), box.session():
            pass
    box.stop()
    box.start()
    with box.session():
        pass  # the true key is back


@pytest.mark.parametrize("operation", ["put", "get", "list", "remove", "rename"])
def test_permission_denied(operation: str, box: BoxUnderTest) -> None:
    box.start(fault("permission_denied", operation=operation))
    (box.folder("medicare", "outbound") / "a").write_bytes(b"answer")
    steps: dict[str, Callable[[paramiko.SFTPClient], Any]] = {
        "put": lambda s: s.putfo(io.BytesIO(b"x"), "/inbound/.part-a"),
        "get": lambda s: s.getfo("/outbound/a", io.BytesIO()),
        "list": lambda s: s.listdir("/outbound"),
        "rename": lambda s: s.rename("/inbound/.part-a", "/inbound/.part-b"),
        "remove": lambda s: s.remove("/outbound/a"),
    }
    with box.session() as sftp:
        for name, step in steps.items():
            if name == operation:
                with pytest.raises(PermissionError):
                    step(sftp)
            step(sftp)


def test_quota(box: BoxUnderTest) -> None:
    box.start(fault("quota", bytes=40_000, times=2))
    with box.session() as sftp:
        with pytest.raises(OSError, match="40000 != 200000"):  # the client sees it by the size
            sftp.putfo(io.BytesIO(b"x" * 200_000), "/inbound/.part-a")
        with pytest.raises(OSError, match="quota"), sftp.open("/inbound/.part-b", "wb") as file:
            file.write(b"x" * 40_001)
        sftp.remove("/inbound/.part-a")
    time.sleep(0.2)
    assert box.events("received") == []


def test_cut_after_bytes(box: BoxUnderTest) -> None:
    box.start(fault("cut_after_bytes", bytes=12_345, name="a.edi"))
    big = b"x" * 300_000
    with link_broken(), box.session() as sftp:
        sftp.putfo(io.BytesIO(big), "/inbound/.part-a.edi")
    part = box.folder("medicare", "inbound") / ".part-a.edi"
    box.wait(lambda: part.exists() and part.stat().st_size == 12_345)
    assert box.events("received") == []
    with box.session() as sftp:
        sftp.putfo(io.BytesIO(big), "/inbound/.part-a.edi")
        assert sftp.stat("/inbound/.part-a.edi").st_size == len(big)


def test_cut_download_after_bytes(box: BoxUnderTest) -> None:
    box.start(fault("cut_download_after_bytes", bytes=50_000))
    (box.folder("medicare", "outbound") / "a").write_bytes(b"y" * 200_000)
    arrived = io.BytesIO()
    # paramiko tells a cut now by an error, now as the file's end: the bytes that came are what counts
    with suppress(OSError, EOFError, paramiko.SSHException), box.session() as sftp:
        sftp.getfo("/outbound/a", arrived)
    assert len(arrived.getvalue()) < 200_000
    assert box.outbound() == {"a": b"y" * 200_000}


def test_forbid_rename(box: BoxUnderTest) -> None:
    box.start(fault("forbid_rename", times=0))
    for _ in range(3):
        with pytest.raises(OSError, match="not allowed"):
            box.upload(DATA)
    with box.session() as sftp:
        assert sftp.listdir("/inbound") == [".part-claims.edi"]


def test_lose_reply_after_rename(box: BoxUnderTest) -> None:
    box.start(fault("lose_reply_after_rename"))
    with link_broken():
        box.upload(DATA)
    box.wait_answered()
    assert [e["name"] for e in box.events("received")] == ["claims.edi"]


def test_lose_reply_after_remove(box: BoxUnderTest) -> None:
    box.start(fault("lose_reply_after_remove"))
    (box.folder("medicare", "outbound") / "a").write_bytes(b"y")
    with link_broken(), box.session() as sftp:
        sftp.remove("/outbound/a")
    assert box.outbound() == {}


@pytest.mark.parametrize("rename", [True, False])
def test_sweep_immediately(rename: bool, box: BoxUnderTest) -> None:
    box.start(fault("sweep_immediately"))
    with box.session() as sftp:
        if rename:
            sftp.putfo(io.BytesIO(DATA), "/inbound/.part-a.edi")
            sftp.rename("/inbound/.part-a.edi", "/inbound/a.edi")
        else:
            sftp.putfo(io.BytesIO(DATA), "/inbound/a.edi", confirm=False)
        with pytest.raises(FileNotFoundError):
            sftp.stat("/inbound/a.edi")
        box.wait_answered()
    assert box.events("received")[0]["name"] == "a.edi"


def test_sweep_temporary(box: BoxUnderTest) -> None:
    box.start(fault("sweep_temporary", name="a.edi"))
    with box.session() as sftp:
        sftp.putfo(io.BytesIO(DATA), "/inbound/.part-a.edi", confirm=False)
        with pytest.raises(FileNotFoundError):
            sftp.rename("/inbound/.part-a.edi", "/inbound/a.edi")
    box.wait_answered()
    assert box.events("received")[0]["name"] == ".part-a.edi"


# --- the answers ------------------------------------------------------------------------------------------------------


def struck(kind: str, data: bytes = DATA, **options: Any) -> Answered:
    """The answers to a file with one fault, without a server."""
    given = Fault(0, kind, 1, "", "", {**KINDS[kind].options, **options})
    found = answered(data, faults={kind: given})
    assert found.applied == [kind]
    return found


def plain(data: bytes = DATA) -> dict[str, bytes]:
    return {a.name: a.data for a in answered(data).answers}


def added(found: Answered) -> dict[str, bytes]:
    """What the fault brought beside the answers that are due; those are all there, unchanged."""
    laid = {a.name: a.data for a in found.answers}
    due = plain()
    assert {n: laid[n] for n in due} == due
    return {n: d for n, d in laid.items() if n not in due}


def test_empty_file() -> None:
    assert list(added(struck("empty_file")).values()) == [b""]


def test_unknown_file() -> None:
    ((name, data),) = added(struck("unknown_file")).items()
    assert name.endswith(".pdf")
    assert data.startswith(b"%PDF")


def test_unknown_ack() -> None:
    ((_, data),) = added(struck("unknown_ack")).items()
    assert validate(data) == []
    assert elements(data, "AK1")[0][2] == "999999999"


def test_renamed_835() -> None:
    ((_, data),) = added(struck("renamed_835")).items()
    assert data == next(d for n, d in plain().items() if n.endswith("_835.edi"))


def test_reenveloped_835() -> None:
    ((_, data),) = added(struck("reenveloped_835")).items()
    first = next(d for n, d in plain().items() if n.endswith("_835.edi"))
    assert elements(data, "ISA")[0][13] != elements(first, "ISA")[0][13]
    assert remittances(data) == remittances(first)
    assert validate(data) == []


def test_changed_835() -> None:
    ((_, data),) = added(struck("changed_835")).items()
    (first,) = remittances(next(d for n, d in plain().items() if n.endswith("_835.edi")))
    (other,) = remittances(data)
    assert_balanced(other)
    assert [other[k] for k in ("trace", "origin", "amount", "date")] == [
        first[k] for k in ("trace", "origin", "amount", "date")
    ]
    assert other["claims"] != first["claims"]


def test_truncated_835() -> None:
    due = plain()
    laid = {a.name: a.data for a in struck("truncated_835").answers}
    changed = [n for n in due if laid[n] != due[n]]
    assert len(changed) == 1
    assert due[changed[0]].startswith(laid[changed[0]])
    assert validate(laid[changed[0]])


@pytest.mark.parametrize("level", ["line", "claim", "transaction"])
def test_unbalanced_835(level: str) -> None:
    found = struck("unbalanced_835", level=level)
    r = remittances(next(a.data for a in found.answers if a.kind == "835"))[0]
    off = {"line": Decimal(0), "claim": Decimal(0), "transaction": Decimal(0)}
    for claim in r["claims"]:
        taken = sum((a for *_, a in claim["cas"]), Decimal(0))
        for line in claim["lines"]:
            of_line = sum((a for *_, a in line["cas"]), Decimal(0))
            off["line"] += line["paid"] - (line["charge"] - of_line)
            taken += of_line
        off["claim"] += claim["paid"] - (claim["charge"] - taken)
    plb = sum((a for *_, a in r["plb"]), Decimal(0))
    off["transaction"] = r["amount"] - sum((c["paid"] for c in r["claims"]), Decimal(0)) + plb
    assert {k for k, v in off.items() if v} == {level}
    assert off[level] == Decimal("0.01")
    paid = [e["cents"] for a in found.answers if a.kind == "NACHA" for e in nacha_entries(a.data)]
    assert int(r["amount"] * 100) in paid  # the money follows BPR02


def test_reversed_order() -> None:
    found = [a for a in struck("reversed_order").answers if a.kind == "835"]
    assert len(found) >= 2
    dates = [remittances(a.data)[0]["date"] for a in sorted(found, key=lambda a: a.name)]
    assert dates == sorted(dates, reverse=True)
    assert [a.data for a in found] == [d for n, d in plain().items() if n.endswith("_835.edi")][::-1]


def cash(answers: dict[str, bytes]) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
    """(EFTs, deposits) as (TRN segment, cents)."""
    efts = [(e["addenda"], e["cents"]) for n, d in answers.items() if n.endswith(".ach") for e in nacha_entries(d)]
    deposits = [
        (d["text"].split("HCCLAIMPMT ")[1], d["cents"])
        for n, b in answers.items()
        if n.endswith(".bai")
        for d in bai2_deposits(b)
    ]
    return efts, deposits


def test_missing_deposit() -> None:
    efts, deposits = cash({a.name: a.data for a in struck("missing_deposit").answers})
    assert (efts, deposits) == (cash(plain())[0], cash(plain())[1][1:])


def test_wrong_deposit_amount() -> None:
    efts, deposits = cash({a.name: a.data for a in struck("wrong_deposit_amount", cents=-250).answers})
    due = cash(plain())
    assert efts == due[0]
    assert deposits == [(due[1][0][0], due[1][0][1] - 250), *due[1][1:]]


def test_extra_deposit() -> None:
    efts, deposits = cash({a.name: a.data for a in struck("extra_deposit", cents=999).answers})
    due = cash(plain())
    assert efts == due[0]
    (extra,) = set(deposits) - set(due[1])
    assert extra[1] == 999
    assert extra[0].endswith("*1520000001\\")


def test_silent(box: BoxUnderTest) -> None:
    box.start(fault("silent", answers=["999", "TA1"], name="a.edi") + fault("silent", name="b.edi"))
    box.upload(DATA, "a.edi")
    box.wait_answered()
    assert set(box.all_answers()) == {n for n in plain() if not n.endswith(("999.edi", "TA1.edi"))}
    before = set(box.all_answers())
    box.upload(file_837(many(3, start=500), control=8), "b.edi")
    box.wait_answered(2)
    assert set(box.all_answers()) == before
    assert len(box.events("received")) == 2


def test_late_ack(box: BoxUnderTest) -> None:
    box.start(fault("late_ack", answers=["999"], seconds=GRACE))
    box.upload(DATA)
    box.wait_answered()
    assert set(plain()) - set(box.all_answers()) == {n for n in plain() if n.endswith("999.edi")}
    box.wait(lambda: box.all_answers() == plain())


def test_what_is_late_comes_after_a_kill(box: BoxUnderTest) -> None:
    box.start(fault("late_ack", seconds=600))
    box.upload(DATA)
    box.wait_answered()
    box.kill()
    assert len(box.all_answers_on_disk()) < len(plain())
    box.start()
    box.wait(lambda: box.all_answers() == plain())


def test_growing_file(box: BoxUnderTest) -> None:
    box.start(fault("growing_file", seconds=GRACE))
    box.upload(DATA)
    box.wait_answered()
    due = plain()
    laid = box.all_answers()
    assert set(laid) == set(due)
    (growing,) = [n for n in due if laid[n] != due[n]]
    assert growing.endswith("_835.edi")
    assert laid[growing] == due[growing][: len(due[growing]) // 2]
    box.wait(lambda: box.all_answers() == due)


def test_a_growing_file_that_was_taken_away_does_not_come_back(box: BoxUnderTest) -> None:
    box.start(fault("growing_file", seconds=GRACE))
    box.upload(DATA)
    box.wait_answered()
    with box.session() as sftp:
        name = next(n for n in sftp.listdir("/outbound") if n.endswith("_835.edi") and sftp.stat(f"/outbound/{n}").st_size != len(plain()[n]))  # fmt: skip
        sftp.remove(f"/outbound/{name}")
    box.wait(lambda: not list((box.root / "answers").glob("[0-9]*")))  # its hour has come
    assert name not in box.outbound()


# --- counting ---------------------------------------------------------------------------------------------------------


def test_a_fault_that_struck_does_not_strike_again_after_a_kill_but_after_a_stop(box: BoxUnderTest) -> None:
    text = fault("forbid_rename")
    box.start(text)
    with suppress(OSError):
        box.upload(DATA)
    box.kill()
    box.start(text)
    box.upload(DATA)
    box.wait_answered()
    box.stop()
    box.start(text)
    with pytest.raises(OSError, match="not allowed"):
        box.upload(DATA)


def test_a_killed_answer_meets_its_fault_again() -> None:
    once = Fault(0, "renamed_835", 1, "", "", {})
    plan = FaultPlan([once])
    plan.resume([(0, 7)])  # the record of a killed box: it struck file 7
    assert plan.offer("renamed_835", "medicare", "a", 7) is once
    assert plan.offer("renamed_835", "medicare", "a", 8) is None


def test_a_fault_meant_for_one_payer_or_name() -> None:
    plan = FaultPlan([Fault(0, "silent", 0, "aetna", "*_1.edi", {})])
    assert plan.offer("silent", "aetna", "x_1.edi", 1)
    assert not plan.offer("silent", "medicare", "x_1.edi", 1)
    assert not plan.offer("silent", "aetna", "x_2.edi", 1)


def test_a_running_box_with_other_faults_is_not_taken_for_this_one(box: BoxUnderTest, settings: Settings) -> None:
    box.start(fault("silent"))
    assert process.start(settings) == process.endpoint(settings)  # who asks for none takes what runs
    with pytest.raises(Terminal, match="other faults"):
        box.start(fault("forbid_rename"))


def test_the_settings_may_name_the_faults(box: BoxUnderTest, settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "faults.toml"
    path.write_text(fault("forbid_rename"))
    settings.payer_box.faults = str(path)
    box.start()
    with pytest.raises(OSError, match="not allowed"):
        box.upload(DATA)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[[fault]]\nkind = "no_such"', "no kind 'no_such'"),
        ('[[fault]]\nkind = "quota"\nbytes = "many"', "wrong value of bytes"),
        ('[[fault]]\nkind = "quota"\nbyte = 3', "unknown option byte"),
        ('[[fault]]\nkind = "quota"\ntimes = -1', "wrong value of times"),
        ('[[fault]]\nkind = "late_ack"\nseconds = true', "wrong value of seconds"),
        ("[faults]", "holds more than"),
        ("[[fault", "not TOML"),
    ],
)
def test_a_faults_file_that_cannot_be_used_is_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "faults.toml"
    path.write_text(text)
    with pytest.raises(Terminal, match=message):
        load_faults(path)


def test_a_missing_faults_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Terminal, match="cannot be read"):
        load_faults(tmp_path / "none.toml")


def test_every_kind_is_documented_and_has_a_test() -> None:
    text = (Path(__file__).parents[2] / "docs" / "payer-in-a-box.md").read_text(encoding="utf-8")
    own = Path(__file__).read_text(encoding="utf-8")
    for kind in KINDS:
        assert f"`{kind}`" in text, kind
        assert f'("{kind}"' in own, kind
