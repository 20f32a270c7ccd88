"""What the reports call things: states, queues, accounts, stages, kinds of files, in the words of billing staff.

The register keeps short keys, which scripts use; people read these words. A key without words is shown as it is.
"""

from __future__ import annotations

from pipeline.wording import counted

#: state of a visit or claim → its words and the group of its colour
STATES: dict[str, tuple[str, str]] = {
    "quarantined": ("Quarantined: the row cannot be read", "bad"),
    "extracted": ("Extracted, not coded yet", "wait"),
    "coder_list": ("On the coder's list", "wait"),
    "not_billable": ("Not billed to a payer", "off"),
    "cancelled": ("Cancelled in the source", "off"),
    "coded": ("Coded, not scrubbed yet", "wait"),
    "held": ("Held by an edit", "bad"),
    "ready": ("Ready to be sent", "go"),
    "batched": ("In a file, not sent", "go"),
    "sent": ("Sent, no answer yet", "go"),
    "unknown": ("Sent, outcome not known", "bad"),
    "received": ("Received by the payer", "go"),
    "accepted": ("Accepted by the payer", "go"),
    "rejected": ("Rejected by the payer", "bad"),
    "paid": ("Paid", "done"),
    "denied": ("Denied", "bad"),
    "reversed": ("Payment reversed", "bad"),
}

QUEUES: dict[str, str] = {
    "coding": "Coder's list",
    "held": "Held before sending",
    "rejection": "Rejected by the payer",
    "denial": "Denied",
    "underpayment": "Paid less than agreed",
    "remittance": "Remittances",
    "deposit": "Bank deposits",
    "file": "Files and extracts",
    "sending": "Sending",
    "payer": "Payers",
}

#: state of a claim file → its words; whether it is as it should be
SENDINGS: dict[str, tuple[str, bool]] = {
    "built": ("built, not sent", True),
    "intent": ("about to be sent", True),
    "sent_temporary": ("being sent", True),
    "renaming": ("being sent", True),
    "renamed": ("sent", True),
    "verified": ("sent, no answer yet", True),
    "unknown": ("outcome not known", False),
    "failed": ("not sent, tried again next time", False),
    "acknowledged": ("acknowledged", True),
}

#: family of ledger accounts (what stands before its last part) → words, in the order of a statement
ACCOUNTS: dict[str, str] = {
    "income:charges": "Billed (income)",
    "receivable:payer": "Payers owe, denied money included",
    "receivable:patient": "Patients owe",
    "receivable:next_payer": "Next payers owe (claims sent on)",
    "settled:earlier_payers": "Settled by earlier payers, as claims to later ones say",
    "adjustment": "Written off",
    "provider_adjustment": "Adjustments outside of claims (PLB)",
    "unapplied:remittance": "Paid for claims that were not found",
    "difference:remittance": "What released remittances do not add up to",
    "clearing:eft": "Paid by payers, not yet in the bank",
    "bank:operating": "In the bank",
    "suspense:deposits": "Deposits in suspense",
    "not_claims:deposits": "Deposits that are no claim payments",
}

#: quality suites, in the order of the way of the data
SUITES: dict[str, str] = {
    "encounters": "Visits as taken in",
    "coded_claims": "Coded claims",
    "scrubbed_claims": "Scrubbed claims",
    "batches": "Claim files before sending",
    "acknowledgments": "Acknowledgments",
    "remittances": "Remittances",
    "postings": "Postings",
    "deposits": "Bank deposits",
}

#: kind of a received file → words, in the order of the way of the data
KINDS: dict[str, str] = {
    "TA1": "TA1: the envelope was taken or not",
    "999": "999: the form was taken or not",
    "277CA": "277CA: each claim was taken or not",
    "835": "835: remittances",
    "NACHA": "CCD+: announcements of payments",
    "BAI2": "BAI2: the bank's report",
    "mixed": "Several kinds in one file",
    "unknown": "Files that nobody knows",
}


def sending(state: str, refused: int) -> tuple[str, bool]:
    """State of a claim file → its words, and whether it is as it should be. `refused`: claims of it that a TA1 or 999 refused:
    an answer came, and the payer does not have them."""
    words, fine = SENDINGS.get(state, (state, True))
    return (f"{words}, {counted(refused, 'claim')} refused", False) if refused else (words, fine)


def family(account: str) -> str:
    """The family of an account: itself, or its name without the last part."""
    if account in ACCOUNTS:
        return account
    return account.rsplit(":", 1)[0]
