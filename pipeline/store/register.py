"""The register's tables, in SQLAlchemy Core. `migrations/` brings a database to this shape.

Rules that every writer keeps:
- Money is integer cents. Dates are dates. Identifiers are text, made from content so that a repeated insert meets a
  unique key instead of making a double.
- `ledger_*`, `claim_events`, `file_arrivals` are append-only: triggers refuse UPDATE and DELETE.
- States are the words listed here, and only `store.events.move_claims` changes the state of a claim.
"""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData()
Cents = sa.BigInteger


def _table(name: str, *columns: sa.schema.SchemaItem, comment: str = "") -> sa.Table:
    return sa.Table(name, metadata, *columns, comment=comment or None)


#: states of an encounter before it has a claim; `claimed` hands over to the claim's state
#: cancelled: the source took the visit back, and no payer holds a claim of it that has not been voided
ENCOUNTER_STATES = (
    "quarantined", "extracted", "coder_list", "not_billable", "cancelled", "coded", "held", "claimed",
)  # fmt: skip
#: states of a claim. unknown: the upload's outcome is not known · received: TA1/999 accepted · accepted: 277CA accepted
CLAIM_STATES = (
    "ready", "batched", "sent", "unknown", "received", "accepted", "rejected", "paid", "denied", "reversed",
)  # fmt: skip
#: states of a sending, in their order (see docs/transport.md). renaming: the file may be under its final name
#: from now on · unknown: it cannot be told whether the payer has it · failed: refused, the payer has nothing, tried again · withheld: stopped by a quality check
SENDING_STATES = (
    "built", "intent", "sent_temporary", "renaming", "renamed", "verified", "unknown", "failed", "acknowledged",
    "withheld",
)  # fmt: skip

imports = _table(
    "imports",
    sa.Column("import_id", sa.String(64), primary_key=True, comment="files_id, or a hash of it and of what it changed later"),
    sa.Column("logical_date", sa.Date, nullable=False),
    sa.Column("format", sa.String(16), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("rows_read", sa.Integer, nullable=False, comment="encounters in the extract"),
    sa.Column("charge_cents", Cents, nullable=False, comment="over all encounters whose charge is legible"),
    sa.Column("rows_new", sa.Integer, nullable=False),
    sa.Column("rows_changed", sa.Integer, nullable=False),
    sa.Column("rows_known", sa.Integer, nullable=False),
    sa.Column("rows_quarantined", sa.Integer, nullable=False),
    sa.Column("files_id", sa.String(64), nullable=False, default="", server_default="", index=True,
              comment="sha256 over the extract's files; the same files may have another effect on a later night"),
)  # fmt: skip

encounters = _table(
    "encounters",
    sa.Column("encounter_key", sa.Text, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False, default=1),
    sa.Column("content_hash", sa.String(64), nullable=False),
    sa.Column("import_id", sa.String(64), nullable=False),
    sa.Column(
        "logical_date",
        sa.Date,
        nullable=False,
        index=True,
        comment="date of the intake that brought this version",
    ),
    sa.Column("practice_id", sa.Text, nullable=False),
    sa.Column("payer_key", sa.Text, comment="null where no payer profile is known"),
    sa.Column("service_from", sa.Date, comment="null where illegible"),
    sa.Column("charge_cents", Cents, nullable=False, comment="0 where illegible"),
    sa.Column("billed_cents", Cents, nullable=False, default=0, comment="of charge_cents, what stands on the claim"),
    sa.Column(
        "unbilled_cents",
        Cents,
        nullable=False,
        default=0,
        comment="of charge_cents, lines never billed apart, by rule",
    ),
    sa.Column(
        "priced_cents",
        Cents,
        nullable=False,
        default=0,
        comment="added by the charge master to lines without a charge: charge + priced = billed + unbilled once coded",
    ),
    sa.Column("state", sa.String(16), nullable=False, index=True),
    sa.Column("reason", sa.Text, nullable=False, default="", comment="rule that decided the state"),
    sa.Column("coded_with", sa.String(16), comment="fingerprint of the coding rules that decided"),
    sa.Column(
        "claim_id", sa.String(20), index=True, comment="the version of its claim that speaks for it; null until claimed"
    ),
    sa.Column(
        "lake_part",
        sa.String(40),
        nullable=False,
        comment="part of encounters/date=logical_date that holds this version",
    ),
    sa.Column("coded_part", sa.String(40), comment="part of coded_claims/date=logical_date that holds its claim"),
    sa.Column("source_file", sa.Text, nullable=False),
    sa.Column("source_row", sa.Integer, nullable=False),
    sa.Column(
        "cancelled",
        sa.Boolean,
        nullable=False,
        default=False,
        server_default=sa.false(),
        comment="the source took it back",
    ),
)

visit_versions = _table(
    "visit_versions",
    sa.Column("encounter_key", sa.Text, primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("import_id", sa.String(64), nullable=False, index=True),
    sa.Column("charge_cents", Cents, nullable=False),
    comment="what intake has brought, once and for all: the proof holds the visits against it",
)

claims = _table(
    "claims",
    sa.Column(
        "claim_id", sa.String(20), primary_key=True, comment="CLM01: each version of a visit's claim has its own"
    ),
    sa.Column("encounter_key", sa.Text, nullable=False),
    sa.Column("payer_key", sa.Text, nullable=False),
    sa.Column("practice_id", sa.Text, nullable=False),
    sa.Column("guide", sa.String(12), nullable=False),
    sa.Column("frequency", sa.String(1), nullable=False),
    sa.Column("charge_cents", Cents, nullable=False),
    sa.Column("service_from", sa.Date, nullable=False),
    sa.Column("logical_date", sa.Date, nullable=False, comment="night that made the claim"),
    sa.Column("scrubbed_date", sa.Date, nullable=False, comment="date=... of scrubbed_* in the lake that holds it"),
    sa.Column("scrubbed_part", sa.String(40), nullable=False, comment="part of scrubbed_*/date=scrubbed_date"),
    sa.Column("duplicate_key", sa.String(32), index=True, comment="hash of patient, provider and all its lines"),
    sa.Column("state", sa.String(16), nullable=False, index=True),
    sa.Column("file_id", sa.String(64), index=True, comment="sha256 of the 837 that carries it"),
    sa.Column("interchange_control", sa.String(9)),
    sa.Column("group_control", sa.String(9)),
    sa.Column("set_control", sa.String(9)),
    sa.Column("payer_claim_number", sa.Text),
    sa.Column("version", sa.Integer, nullable=False, default=1, server_default="1"),
    sa.Column("replaces", sa.String(20), comment="of frequency 7 and 8: the version that the payer holds"),
    sa.Column(
        "closed_on",
        sa.Date,
        comment="a later version went out, or the visit was cancelled: its charge no longer stands",
    ),
    sa.Column(
        "earlier_cents", Cents, comment="what earlier payers settled of it, as it says; null: made before this was kept"
    ),
    sa.UniqueConstraint("encounter_key", "version", name="uq_claims_encounter_version"),
    comment="one row a version; what a payer did with a version stays that version's state",
)

decisions = _table(
    "decisions",
    sa.Column("decision_id", sa.String(32), primary_key=True, comment="hash of its content"),
    sa.Column("encounter_key", sa.Text, nullable=False, index=True),
    sa.Column("action", sa.String(12), nullable=False, comment="approve, keep, resend, override"),
    sa.Column("visit_version", sa.Integer, nullable=False, comment="the version of the visit that the person saw"),
    sa.Column(
        "claim_id",
        sa.String(20),
        nullable=False,
        comment="the newest version of its claim then; of override: the one held",
    ),
    sa.Column("item_id", sa.String(32), nullable=False, comment="work item that it answers"),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("on_date", sa.Date, nullable=False),
    sa.Column("rule", sa.Text, nullable=False, default="", server_default="", comment="of override: the edit"),
    comment="what a person decided about a claim: one that a payer has seen, or one that an edit holds",
)

claim_events = _table(
    "claim_events",
    sa.Column("sequence", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=False),
    sa.Column("claim_id", sa.String(20), nullable=False, index=True),
    sa.Column("event", sa.String(32), nullable=False),
    sa.Column("from_state", sa.String(16)),
    sa.Column("to_state", sa.String(16), nullable=False),
    sa.Column("file_id", sa.String(64)),
    sa.Column("on_date", sa.Date, nullable=False, comment="logical date"),
    sa.Column("detail", sa.Text, nullable=False, default="", comment="codes and ids only"),
    sa.Column("previous_hash", sa.String(64), nullable=False),
    sa.Column("hash", sa.String(64), nullable=False, unique=True),
)

files = _table(
    "files",
    sa.Column("file_id", sa.String(64), primary_key=True, comment="sha256 of the bytes"),
    sa.Column("direction", sa.String(3), nullable=False, comment="in or out"),
    sa.Column("kind", sa.String(8), nullable=False, comment="837, TA1, 999, 277CA, 835, NACHA, BAI2, unknown, mixed"),
    sa.Column("payer_key", sa.Text, comment="route that it came by or goes to; bank for bank files"),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("logical_date", sa.Date, nullable=False),
    sa.Column("state", sa.String(12), nullable=False, comment="archived, processed, quarantined"),
    sa.Column("reason", sa.Text, nullable=False, default=""),
)

file_arrivals = _table(
    "file_arrivals",
    sa.Column("file_id", sa.String(64), primary_key=True),
    sa.Column("payer_key", sa.Text, primary_key=True),
    sa.Column("remote_name", sa.Text, primary_key=True),
    sa.Column("logical_date", sa.Date, nullable=False),
)

control_sequences = _table(
    "control_sequences",
    sa.Column("scope", sa.Text, primary_key=True, comment="for example isa:SENDER>RECEIVER"),
    sa.Column("last", sa.BigInteger, nullable=False),
)

control_numbers = _table(
    "control_numbers",
    sa.Column("scope", sa.Text, primary_key=True),
    sa.Column("number", sa.BigInteger, primary_key=True),
    sa.Column("batch_id", sa.String(64), nullable=False, index=True, comment="what the number was allotted to"),
    sa.Column("file_id", sa.String(64), comment="null until the bytes exist; never changed after"),
)

sendings = _table(
    "sendings",
    sa.Column("sending_id", sa.String(64), primary_key=True, comment="batch id"),
    sa.Column("payer_key", sa.Text, nullable=False),
    sa.Column("file_id", sa.String(64), nullable=False, unique=True),
    sa.Column("interchange_control", sa.String(9), nullable=False),
    sa.Column("guide", sa.String(12), nullable=False),
    sa.Column("usage", sa.String(1), nullable=False),
    sa.Column("logical_date", sa.Date, nullable=False, index=True),
    sa.Column("claim_count", sa.Integer, nullable=False),
    sa.Column("charge_cents", Cents, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("temporary_name", sa.Text),
    sa.Column("final_name", sa.Text),
    sa.Column("state", sa.String(16), nullable=False, index=True),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("reason", sa.Text, nullable=False, default=""),
    sa.UniqueConstraint("payer_key", "interchange_control"),
)

#: those alone, so that nothing is searched once all are known
sa.Index(
    "ix_claims_earlier_unknown",
    claims.c.claim_id,
    sqlite_where=claims.c.earlier_cents.is_(None),
    postgresql_where=claims.c.earlier_cents.is_(None),
)

recovered_claims = _table(
    "recovered_claims",
    sa.Column(
        "file_id", sa.String(64), primary_key=True, comment="archived 837 that a register older than it took over"
    ),
    sa.Column("claim_id", sa.String(20), primary_key=True),
    sa.Column("payer_key", sa.Text, nullable=False),
    sa.Column("interchange_control", sa.String(9), nullable=False),
    sa.Column("group_control", sa.String(9), nullable=False),
    sa.Column("set_control", sa.String(9), nullable=False),
    sa.Column("charge_cents", Cents, nullable=False, comment="CLM02"),
    sa.Column(
        "state",
        sa.String(12),
        nullable=False,
        index=True,
        comment="waiting (the claim is not in the register, or is not as it was sent), joined, apart (another file has it otherwise)",
    ),
    comment="claims that are with a payer though the register had lost them: never built again",
)

findings = _table(
    "findings",
    sa.Column("finding_id", sa.String(32), primary_key=True),
    sa.Column("logical_date", sa.Date, nullable=False, index=True),
    sa.Column("stage", sa.String(24), nullable=False),
    sa.Column("subject", sa.Text, nullable=False, default="", index=True),
    sa.Column("rule", sa.String(64), nullable=False),
    sa.Column("severity", sa.String(8), nullable=False),
    sa.Column("snip", sa.Integer),
    sa.Column("file", sa.Text, nullable=False, default=""),
    sa.Column("segment", sa.BigInteger),
    sa.Column("loop", sa.Text, nullable=False, default=""),
    sa.Column("segment_id", sa.Text, nullable=False, default=""),
    sa.Column("element", sa.Integer),
    sa.Column("component", sa.Integer),
    sa.Column("offset", sa.BigInteger),
    sa.Column("source", sa.Text, nullable=False, default=""),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("fix", sa.Text, nullable=False, default=""),
)

work_items = _table(
    "work_items",
    sa.Column("item_id", sa.String(32), primary_key=True, comment="hash of queue, subject, cause, reference"),
    sa.Column("queue", sa.String(24), nullable=False, index=True,
              comment="coding, held, rejection, denial, remittance, deposit, file, sending, payer"),
    sa.Column("subject", sa.Text, nullable=False, comment="claim, encounter, remittance, deposit or file id"),
    sa.Column("claim_id", sa.String(20), index=True),
    sa.Column("payer_key", sa.Text),
    sa.Column("cause", sa.Text, nullable=False, comment="groups like items, for example A7:562 or CO-197"),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False, comment="plain words, no patient data"),
    sa.Column("action", sa.Text, nullable=False, comment="what to do next"),
    sa.Column("cents", Cents, nullable=False, default=0),
    sa.Column("opened_on", sa.Date, nullable=False),
    sa.Column("due_on", sa.Date),
    sa.Column("state", sa.String(12), nullable=False, default="open", comment="open, done"),
    sa.Column("owner", sa.Text),
    sa.Column("resolution", sa.Text, nullable=False, default=""),
)  # fmt: skip

acknowledgments = _table(
    "acknowledgments",
    sa.Column(
        "ack_id",
        sa.String(32),
        primary_key=True,
        comment="hash of its content: the same fact twice is one row",
    ),
    sa.Column("file_id", sa.String(64), nullable=False),
    sa.Column("kind", sa.String(8), nullable=False, comment="TA1, 999, 277CA"),
    sa.Column("payer_key", sa.Text, nullable=False),
    sa.Column(
        "level",
        sa.String(12),
        nullable=False,
        comment="interchange, group, set, receiver, provider, claim, line",
    ),
    sa.Column("interchange_control", sa.String(9), comment="ISA13 of what is acknowledged"),
    sa.Column("group_control", sa.String(9)),
    sa.Column("set_control", sa.String(9)),
    sa.Column("batch_reference", sa.Text, comment="BHT03/TRN02 of the 837 batch, for a 277CA"),
    sa.Column("claim_id", sa.String(20)),
    sa.Column("code", sa.String(16), nullable=False, comment="TA104, IK501, AK901 or STC category"),
    sa.Column("detail", sa.Text, nullable=False, default="", comment="TA105, IK502-506, STC status:entity"),
    sa.Column("payer_claim_number", sa.Text),
    sa.Column("on_date", sa.Date),
    sa.Column(
        "state",
        sa.String(12),
        nullable=False,
        comment="applied, waiting (nothing of ours matches yet), ignored",
    ),
)

_WAITING = sa.text("state = 'waiting'")
#: those alone: few of all that ever came. What asks for them says the word itself (`waiting`), or no database would use it
sa.Index(
    "ix_acknowledgments_waiting",
    acknowledgments.c.ack_id,
    sqlite_where=_WAITING,
    postgresql_where=_WAITING,
)


def waiting() -> sa.ColumnElement[bool]:
    """Answers that nothing of ours matches yet."""
    return acknowledgments.c.state == sa.bindparam(None, "waiting", literal_execute=True)


remittances = _table(
    "remittances",
    sa.Column("remittance_id", sa.String(32), primary_key=True, comment="hash of origin, trace, amount, date, content"),
    sa.Column("payer_key", sa.Text, nullable=False),
    sa.Column("origin", sa.Text, nullable=False, comment="TRN03"),
    sa.Column("trace", sa.Text, nullable=False, comment="TRN02"),
    sa.Column("amount_cents", Cents, nullable=False, comment="BPR02"),
    sa.Column("payment_date", sa.Date, nullable=False, comment="BPR16"),
    sa.Column("method", sa.String(3), nullable=False, comment="BPR04"),
    sa.Column("file_id", sa.String(64), nullable=False),
    sa.Column("set_number", sa.Integer, nullable=False),
    sa.Column("content_hash", sa.String(64), nullable=False, comment="over the set's tables, envelope left out"),
    sa.Column(
        "state",
        sa.String(12),
        nullable=False,
        comment="posted, held, replaced (by a corrected one), discarded (by a person)",
    ),
    sa.Column("reason", sa.Text, nullable=False, default="", comment="rule that held it"),
    sa.Column(
        "decision_id", sa.String(32), nullable=False, default="", comment="decision by which it was posted or discarded"
    ),
    sa.UniqueConstraint("origin", "trace", "content_hash"),
    comment="one row for each content that came; a payment is its payer and trace",
)
#: what posts by itself posts once a payer and trace, whatever the file, its date or its amount
sa.Index(
    "remittances_posted_once",
    remittances.c.origin,
    remittances.c.trace,
    unique=True,
    sqlite_where=sa.and_(remittances.c.state == "posted", remittances.c.decision_id == ""),
    postgresql_where=sa.and_(remittances.c.state == "posted", remittances.c.decision_id == ""),
)

remittance_claims = _table(
    "remittance_claims",
    sa.Column("remittance_id", sa.String(32), primary_key=True),
    sa.Column("claim_number", sa.Integer, primary_key=True, comment="CLP in its set, from 1"),
    sa.Column("claim_id_stated", sa.Text, nullable=False, comment="CLP01"),
    sa.Column("claim_id", sa.String(20), index=True, comment="our claim; null where none matches"),
    sa.Column("status", sa.String(2), nullable=False, comment="CLP02"),
    sa.Column("charge_cents", Cents, nullable=False),
    sa.Column("paid_cents", Cents, nullable=False),
    sa.Column("adjusted_cents", Cents, nullable=False, default=0, comment="written off by policy"),
    sa.Column("patient_cents", Cents, nullable=False, comment="group PR"),
    sa.Column("payer_claim_number", sa.Text, nullable=False, default=""),
    sa.Column("outcome", sa.String(8), nullable=False, default="other", comment="paid, denied, reversal, other"),
    sa.Column(
        "reverses",
        sa.Text,
        nullable=False,
        default="",
        comment="remittance_id/claim_number of the payment that a reversal undoes",
    ),
    sa.Column("state", sa.String(12), nullable=False, comment="posted, exception"),
    sa.Column("reason", sa.Text, nullable=False, default=""),
)

ledger_transactions = _table(
    "ledger_transactions",
    sa.Column(
        "transaction_id",
        sa.String(32),
        primary_key=True,
        comment="hash of its meaning: a repeat meets the key",
    ),
    sa.Column("on_date", sa.Date, nullable=False, index=True),
    sa.Column(
        "kind",
        sa.String(24),
        nullable=False,
        comment="charge, payment, provider_adjustment, deposit, suspense ...",
    ),
    sa.Column("reference", sa.Text, nullable=False),
    sa.Column("remittance_id", sa.String(32), index=True),
)

ledger_entries = _table(
    "ledger_entries",
    sa.Column("transaction_id", sa.String(32), sa.ForeignKey("ledger_transactions.transaction_id"), primary_key=True),
    sa.Column("line", sa.Integer, primary_key=True),
    sa.Column("account", sa.Text, nullable=False, index=True, comment="see ledger/accounts.py"),
    sa.Column("cents", Cents, nullable=False, comment="debit positive, credit negative; a transaction sums to 0"),
    sa.Column("claim_id", sa.String(20), index=True),
    sa.Column("detail", sa.Text, nullable=False, default="", comment="group-reason code or PLB reference"),
)

efts = _table(
    "efts",
    sa.Column("eft_id", sa.String(32), primary_key=True, comment="hash of origin, trace, amount, date"),
    sa.Column("file_id", sa.String(64), nullable=False),
    sa.Column("trace", sa.Text, nullable=False),
    sa.Column("origin", sa.Text, nullable=False, comment="TRN03 of the addenda"),
    sa.Column("amount_cents", Cents, nullable=False),
    sa.Column("effective_date", sa.Date, nullable=False),
    sa.Column("bank_trace", sa.Text, nullable=False, default="", comment="15-digit ACH trace number"),
)

deposits = _table(
    "deposits",
    sa.Column(
        "deposit_id",
        sa.String(32),
        primary_key=True,
        comment="hash of account, date, type, amount, references, ordinal",
    ),
    sa.Column("file_id", sa.String(64), nullable=False),
    sa.Column("account", sa.Text, nullable=False, comment="masked: last four digits"),
    sa.Column("deposit_date", sa.Date, nullable=False, index=True),
    sa.Column("type_code", sa.String(3), nullable=False, comment="BAI2 type: 165 ACH, 115 lockbox, 195 wire"),
    sa.Column("amount_cents", Cents, nullable=False),
    sa.Column("bank_reference", sa.Text, nullable=False, default=""),
    sa.Column(
        "trace",
        sa.Text,
        nullable=False,
        default="",
        comment="TRN02 put together from the 16/88 text; empty where none",
    ),
    sa.Column("origin", sa.Text, nullable=False, default="", comment="TRN03"),
)

matches = _table(
    "matches",
    sa.Column(
        "match_id", sa.String(32), primary_key=True, comment="the deposit's id; of a person's match a hash of both ids"
    ),
    sa.Column("deposit_id", sa.String(32), nullable=False, index=True),
    sa.Column("remittance_id", sa.String(32), index=True, comment="null: no claim payment"),
    sa.Column("eft_id", sa.String(32)),
    sa.Column("method", sa.String(16), nullable=False, comment="trace, not_claims, person"),
    sa.Column("cents", Cents, nullable=False, comment="how much of the deposit; below 0 where a deposit is taken back"),
    sa.Column("on_date", sa.Date, nullable=False),
    sa.UniqueConstraint("deposit_id", "remittance_id"),
    comment="what of a deposit is matched with what; the rest of it stands in suspense",
)

item_decisions = _table(
    "item_decisions",
    sa.Column("decision_id", sa.String(32), primary_key=True, comment="hash of item, action and target"),
    sa.Column("item_id", sa.String(32), nullable=False, index=True),
    sa.Column(
        "action", sa.String(16), nullable=False, comment="close, release, discard, apply, match, not-claims, retry"
    ),
    sa.Column("subject", sa.Text, nullable=False, comment="what it was done to: the work item's subject"),
    sa.Column("target", sa.Text, nullable=False, default="", comment="claim, or deposit and remittance"),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("on_date", sa.Date, nullable=False),
    comment="what a person decided on a work item, and why",
)

stage_runs = _table(
    "stage_runs",
    sa.Column("logical_date", sa.Date, primary_key=True),
    sa.Column("stage", sa.String(24), primary_key=True),
    sa.Column("subject", sa.Text, primary_key=True, default="", comment="import or payer where the stage is mapped"),
    sa.Column("counts", sa.Text, nullable=False, comment="JSON object: counts and cents only"),
)

quality_results = _table(
    "quality_results",
    sa.Column("logical_date", sa.Date, primary_key=True),
    sa.Column("suite", sa.String(32), primary_key=True),
    sa.Column("subject", sa.Text, primary_key=True, default=""),
    sa.Column("ordinal", sa.Integer, primary_key=True),
    sa.Column("expectation", sa.Text, nullable=False),
    sa.Column("column_name", sa.Text, nullable=False, default=""),
    sa.Column("success", sa.Boolean, nullable=False),
    sa.Column("checked", sa.Integer, nullable=False),
    sa.Column("unexpected", sa.Integer, nullable=False),
)

#: tables whose rows, once written, are never changed or removed by the application
APPEND_ONLY = (
    "visit_versions",
    "claim_events",
    "decisions",
    "item_decisions",
    "ledger_transactions",
    "ledger_entries",
    "file_arrivals",
)
