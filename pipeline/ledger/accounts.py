"""The chart of accounts, as data. `docs/money.md` shows what each stage posts.

Debits are positive cents, credits negative. An account is a name of the chart, some with a last part of their own (the
payer's key, the PLB reason). The ledger refuses a name that the chart does not know, so a misspelt account cannot hide
money.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

INCOME = "income:charges"
PATIENT = "receivable:patient"
NEXT_PAYER = "receivable:next_payer"
EARLIER_PAYERS = "settled:earlier_payers"
UNAPPLIED = "unapplied:remittance"
BANK = "bank:operating"
SUSPENSE = "suspense:deposits"
NOT_CLAIMS = "not_claims:deposits"
DIFFERENCE = "difference:remittance"


@dataclass(frozen=True, slots=True)
class Account:
    """`pattern` is the whole name as a regular expression; `side` is where its balance normally stands."""

    name: str
    pattern: str
    side: Literal["debit", "credit", "either"]
    about: str


CHART: tuple[Account, ...] = (
    Account(INCOME, r"income:charges", "credit", "Charges of all claims, as billed."),
    Account("receivable:payer:<key>", r"receivable:payer:[a-z0-9_-]+", "debit",
            "What a payer has not yet settled: charge less paid, written off and moved to the patient. Denied money stays here."),
    Account(PATIENT, r"receivable:patient", "debit", "What remittances say the patient owes (group PR)."),
    Account(NEXT_PAYER, r"receivable:next_payer", "debit",
            "Group PR of claims that the payer has sent on to the patient's next payer, less what that one settled."),
    Account(EARLIER_PAYERS, r"settled:earlier_payers", "debit",
            "What payers before had settled of claims to a later one, as those claims say. It came another way than these books."),
    Account("adjustment:<category>", r"adjustment:[a-z_]+", "debit",
            "Written off under group CO for a reason code that the policy lists, by category of the code."),
    Account("clearing:eft:<key>", r"clearing:eft:[a-z0-9_-]+", "debit",
            "Money a payer says it has paid, until the bank shows it. 0 for each remittance that is matched."),
    Account("provider_adjustment:<reason>", r"provider_adjustment:[A-Z0-9]{2}", "either",
            "PLB: taken or given outside of claims, by its reason code; the reference stands in the entry's detail."),
    Account(UNAPPLIED, r"unapplied:remittance", "either",
            "Paid or taken back by a remittance for a claim that could not be found; a person or a later file settles it."),
    Account(DIFFERENCE, r"difference:remittance", "either",
            "By how much a remittance that a person released does not add up: BPR02 less its claims and PLB."),
    Account(BANK, r"bank:operating", "debit", "Money that the bank's report shows."),
    Account(SUSPENSE, r"suspense:deposits", "credit", "Deposits that no remittance explains yet."),
    Account(NOT_CLAIMS, r"not_claims:deposits", "credit",
            "Deposits that are no claim payments by their type: interest, transfers between own accounts."),
)  # fmt: skip

_PATTERNS = re.compile("|".join(f"(?:{account.pattern})" for account in CHART))


@lru_cache(maxsize=1024)
def known(account: str) -> bool:
    """Is this a name of the chart?"""
    return _PATTERNS.fullmatch(account) is not None


def receivable(payer_key: str) -> str:
    return f"receivable:payer:{payer_key}"


def clearing(payer_key: str) -> str:
    return f"clearing:eft:{payer_key}"


def adjustment(category: str) -> str:
    return f"adjustment:{category}"


def provider_adjustment(reason: str) -> str:
    return f"provider_adjustment:{reason}"
