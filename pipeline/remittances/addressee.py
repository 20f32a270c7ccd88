"""Is a remittance ours? Its interchange must be addressed to us (ISA08) and its payee (1000B) must be one of us.

A payer's folder or a clearinghouse may hand over what belongs to another practice. Ours are the billing providers (NPI
and TIN) of the claims that we have sent, and what the settings add: `submitter.payees` and `submitter.addresses`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import sqlalchemy as sa

from pipeline import payers
from pipeline.findings import Finding
from pipeline.remittances.reading import Remittance
from pipeline.store import Store
from pipeline.store import register as r

RECEIVER, PAYEE = "835.receiver", "835.payee"
_COLUMNS = ("billing_npi", "billing_tin")


class Addressee:
    """What is ours, read as far as it is needed: newest claims first."""

    def __init__(
        self, store: Store, connection: sa.Connection, profiles: Mapping[str, payers.PayerProfile]
    ) -> None:  # fmt: skip
        submitter = store.settings.submitter
        self._store, self._connection = store, connection
        self._addresses = {_plain(a) for a in (submitter.interchange_id, *submitter.addresses)}
        self._addresses |= {_plain(p.interchange.sender_id) for p in profiles.values() if p.interchange.sender_id}
        self._payees = {_plain(payee) for payee in submitter.payees}
        self._more = self._billing_providers()

    def problem(self, remittance: Remittance) -> Finding | None:
        """A finding where it is another's; None where it is ours."""
        receiver = _plain(remittance.receiver)
        if receiver not in self._addresses and not self._ours([receiver]):
            return self._finding(
                remittance, RECEIVER, "ISA", "The interchange is addressed (ISA08) to somebody else.",
                "Give it back to the payer. If the id in ISA08 is one of yours, add it to `submitter.addresses` in the settings and "
                "release the remittance.",
            )  # fmt: skip
        if not self._ours([_plain(payee) for payee in remittance.payees]):
            what = "names no payee" if not remittance.payees else "pays somebody else"
            return self._finding(
                remittance, PAYEE, "N1", f"The remittance {what}: 1000B is none of our billing providers (NPI, TIN).",
                "Give it back to the payer. If the payee is yours, add its NPI or TIN to `submitter.payees` in the settings and "
                "release the remittance.",
            )  # fmt: skip
        return None

    def _ours(self, ids: list[str]) -> bool:
        wanted = {i for i in ids if i}
        while not wanted & self._payees:
            more = next(self._more, None)
            if more is None:
                return False
            self._payees |= more
        return True

    def _billing_providers(self) -> Iterator[set[str]]:
        """NPIs and TINs of the claims that were sent, one part of the lake at a time."""
        c = r.claims.c
        parts = self._connection.execute(
            sa.select(c.scrubbed_date, c.scrubbed_part)
            .where(c.file_id.is_not(None))
            .distinct()
            .order_by(c.scrubbed_date.desc(), c.scrubbed_part)
        ).fetchall()
        for day, part in parts:
            rows = self._store.lake.read("scrubbed_claims", day, part, columns=_COLUMNS)
            yield {_plain(v) for name in _COLUMNS for v in rows.column(name).unique().to_pylist() if v}

    @staticmethod
    def _finding(remittance: Remittance, rule: str, segment_id: str, message: str, fix: str) -> Finding:
        return Finding(
            rule=rule, severity="error", message=message, fix=fix, file=remittance.file_id, segment=remittance.segment,
            segment_id=segment_id, loop="1000B" if rule == PAYEE else "", subject=remittance.remittance_id,
        )  # fmt: skip


def _plain(text: str | None) -> str:
    """An id as it is compared: without blanks and hyphens, in capitals."""
    return (text or "").replace("-", "").replace(" ", "").upper()
