"""With the compiled kernel and without it: the same tables and findings, of whole files and of damaged ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks import x12_material
from compiled_kernel import ROOT, built
from hypothesis import given, settings
from hypothesis import strategies as st
from transactions.x12_text import professional, remittance

from pipeline.transactions import read
from pipeline.transactions.bulk import export
from pipeline.x12 import kernel as kernels
from pipeline.x12.kernel import Kernel, using

FILES = sorted(
    path
    for folder in ("sample_edi", "tests/conformance/files")
    for path in (ROOT / folder).rglob("*")
    if path.is_file()
)
SEEDS = [
    remittance(), professional(), remittance() + remittance(control=2), remittance(delimiters="|!>\n"),
    remittance().replace(b"~", b"~\r\n"), professional().replace(b"~", b"\n~"),
    x12_material.remittance(6, seed=5), x12_material.claims(4, seed=6),
]  # fmt: skip
INSETS = [
    b"~", b"~~", b"*", b":", b"\n", b"\r\n", b" ", b"\x00", b"\xff", b"\xc3\x89", b"BIN*7*a~b*c~d~", b"ST*835*1~", b"SE*1*1~", b"CLP*9~", b"SVC~",
    b"CAS*CO*1**2~", b"CAS*PR", b"AMT*AU*x~", b"DTM*472*20260230~", b"MOA***A**B~", b"LQ*HE*N1~", b"NM1*QC~", b"-", b".", b"9" * 17, b"HL*1**20*1~",
]  # fmt: skip


@pytest.fixture(scope="module")
def kernel() -> Kernel:
    return built()


def agree(kernel: Kernel, data: bytes) -> None:
    with using(None):
        plain = read(data, file="f")
    with using(kernel):
        compiled = read(data, file="f")
    assert compiled.findings == plain.findings
    assert list(compiled.tables) == list(plain.tables)
    for name, table in plain.tables.items():
        made = compiled.tables[name]
        made.validate(full=True)
        assert made.equals(table), name


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_files(kernel: Kernel, path: Path) -> None:
    agree(kernel, path.read_bytes())


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(SEEDS),
    st.lists(st.tuples(st.integers(0, 1 << 16), st.sampled_from(INSETS)), max_size=6),
    st.integers(0, 9),
)
def test_damaged_files(kernel: Kernel, seed: bytes, insets: list[tuple[int, bytes]], cut: int) -> None:
    data = bytearray(seed)
    for at, inset in insets:
        place = at % (len(data) + 1)
        data[place : place + cut] = inset
    agree(kernel, bytes(data))


def test_the_kernel_is_what_reads_where_it_is_chosen(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else all the tests here would hold numpy against itself."""
    asked: list[int] = []
    columns = kernel.columns
    monkeypatch.setattr(kernel, "columns", lambda scan, wanted: asked.append(len(wanted)) or columns(scan, wanted))
    with using(None):
        read(remittance())
        assert not asked
    with using(kernel):
        read(remittance())
        assert sum(asked) > 20
    with using(kernel), monkeypatch.context() as patch:
        patch.setenv("CLAIMPIPE_KERNEL", "off")
        assert kernels.kernel() is kernel  # what a test chose goes before the environment


def test_it_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLAIMPIPE_KERNEL", "off")
    assert kernels.kernel() is None


def test_a_kernel_of_another_source_is_not_taken(
    kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = tmp_path / "kernel.c"
    changed.write_bytes(kernels.SOURCE.read_bytes() + b"\n")
    library = tmp_path / "kernel.so"
    library.write_bytes(kernel.path.read_bytes())
    monkeypatch.setattr(kernels, "SOURCE", changed)
    with pytest.raises(ValueError, match="another source"):
        Kernel(library)
    broken = tmp_path / "broken.so"  # never in place: the other one is mapped
    broken.write_bytes(b"no library")
    with pytest.raises(OSError, match="broken"):
        Kernel(broken)


def test_parquet_is_the_same_with_both(kernel: Kernel, tmp_path: Path) -> None:
    source = tmp_path / "a.835"
    source.write_bytes(x12_material.remittance(1500, seed=8))
    written = []
    for chosen in (None, kernel):
        with using(chosen):
            result = export([source], tmp_path / str(chosen is None))
        written.append({name: path.read_bytes() for name, path in result.tables.items()})
    assert written[0] == written[1]
