"""What the payments that were placed give people to do: denials, short charges, strange lines, underpayments, overpayments."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

from pipeline.ledger import accounts, policy, posting
from pipeline.money import shown
from pipeline.remittances import lines, underpayment
from pipeline.remittances.context import Run
from pipeline.remittances.payments import Payment, by_billed_payer, restate
from pipeline.remittances.reading import Claim
from pipeline.store.filing import last_days
from pipeline.store.work import WorkItem, close_items, closed_by_person

OVERPOSTED, TOO_LOW = "overposted", "charge-too-low"


@dataclass(frozen=True, slots=True)
class Difference:
    """By how much a payer's view of what earlier payers settled differs from the claim's, and the words for it."""

    first: Payment
    cents: int
    told: str


class Judging:
    def __init__(self, run: Run) -> None:
        self.run = run

    def look(
        self, fresh: Sequence[Payment], settled: Sequence[Payment], known: Mapping[str, Any],
        history: Mapping[str, Sequence[Payment]],
    ) -> None:  # fmt: skip
        """`history`: claim → its payments that are posted, those of this run among them."""
        taken_back = {key for keys in self.run.closing.values() for key in keys} - {p.key for p in settled}
        placed = [p for p in [*fresh, *settled] if p.state == "posted" and p.outcome != "reversal"]
        standing_payments = [p for p in placed if p.key not in taken_back]
        anew = [p for p in standing_payments if p.claim and _goes_again(p, p.claim)]
        filing = last_days(self.run.store, [known[p.claim_id or ""] for p in anew], self.run.profiles)
        for payment in standing_payments:
            self._denials(payment, known[payment.claim_id or ""], filing)
        self._charges([p for p in [*fresh, *settled] if p.state == "posted"], known, history)
        self._line_problems(standing_payments, known)
        self._underpayments(standing_payments, known)
        less = self._earlier_payers(standing_payments, known)
        self._overposted([p for p in [*fresh, *settled] if p.claim_id], known, less)

    def _denials(self, payment: Payment, ours: Any, filing: Mapping[str, date]) -> None:
        claim = payment.claim
        assert claim is not None
        status = policy.STATUSES[payment.status]
        if status != "processed":
            self._special(payment, status, claim, ours, filing)
            return
        denied = [a for a in claim.adjustments if a[2] > 0 and policy.is_denial(a[0], a[1])]
        review = [a for a in claim.adjustments if a[2] and policy.kind(a[0], a[1]) == "review"]
        review = [a for a in review if (a[0], a[1]) != policy.EARLIER_PAYER]  # see _earlier_payers
        if denied:
            self._denial(payment, denied, ours, filing)
        if review:
            group, number, _ = max(review, key=lambda a: (abs(a[2]), a[0], a[1]))
            reason, action, _ = policy.denial_words(review, ())
            self.run.item(payment.key, f"{group}-{number}", f"To be looked at: {policy.reason(number).meaning}",
                       f"{reason} It is neither written off nor billed to the patient.", action,
                       abs(sum(a[2] for a in review)), ours.payer_key, payment.claim_id)  # fmt: skip

    def _denial(
        self, payment: Payment, denied: list[tuple[str, str, int]], ours: Any, filing: Mapping[str, date]
    ) -> None:  # fmt: skip
        claim = payment.claim
        assert claim is not None
        group, number, _ = max(denied, key=lambda a: (a[2], a[0], a[1]))
        reason, action, effect = policy.denial_words(denied, claim.all_remarks())
        terms = self.run.profiles[ours.payer_key].claims if ours.payer_key in self.run.profiles else None
        due = None
        if terms is not None:
            again = effect == "resubmit"
            due = filing.get(ours.claim_id) if again else payment.paid_on + timedelta(days=terms.appeal_days)
        self.run.item(payment.key, f"{group}-{number}", f"Denied: {policy.reason(number).meaning}", reason, action,
                   sum(a[2] for a in denied), ours.payer_key, payment.claim_id, queue="denial", due=due)  # fmt: skip
        self.run.counts["denials"] += 1
        self.run.counts["denied_cents"] += sum(a[2] for a in denied)

    def _special(
        self, payment: Payment, status: str, claim: Claim, ours: Any, filing: Mapping[str, date]
    ) -> None:  # fmt: skip
        title, action, queue = _SPECIAL_WORDS[status]
        reason, _, _ = policy.denial_words(claim.adjustments, claim.all_remarks())
        due = filing.get(ours.claim_id) if status == _UNKNOWN_PATIENT else None
        self.run.item(payment.key, f"status-{payment.status}", title, f"CLP02 is {payment.status}. {reason}", action,
                   max(payment.charge - (ours.earlier_cents or 0), 0), payment.clearing_key, payment.claim_id, queue=queue,
                   due=due)  # fmt: skip

    def _earlier_payers(self, payments: Sequence[Payment], known: Mapping[str, Any]) -> list[Difference]:
        """OA-23 against what the claim states that earlier payers settled: where both agree nobody has to do anything.

        Returns where the payer takes off less, and so decided more than was open: see `_overposted`. OA-23 of a payer to whom the
        one we billed sent the claim on says what that one decided, and opens nothing.
        """
        less = []
        for pieces in by_billed_payer(payments, known):
            first, ours = min(pieces, key=lambda p: p.number), known[pieces[0].claim_id or ""]
            seen = restate(pieces, ours.charge_cents, ours.earlier_cents or 0)
            if not seen.difference:
                continue
            stated = (
                f"The claim says that earlier payers paid and wrote off {shown(seen.stated)} of it"
                if seen.stated
                else "The claim names no earlier payer that settled any of it"
            )
            told = f"{stated}; this payer takes off {shown(seen.told)} (OA-23)"
            told += f" and writes off {shown(seen.restated)} of the same once more." if seen.restated else "."
            found = Difference(first, abs(seen.difference), told)
            if seen.difference < 0:
                less.append(found)
            else:
                self._differs(
                    found,
                    ours,
                    "More than was stated stays in the receivable: it is neither written off nor billed to the patient.",
                )
        return less

    def _differs(self, found: Difference, ours: Any, effect: str) -> None:
        self.run.item(found.first.key, "-".join(policy.EARLIER_PAYER), "What earlier payers settled differs",
                   f"{found.told} {effect}",
                   "Compare with the earlier payer's remittance. Where this payer is wrong, ask it to correct its decision; where "
                   "the claim is, send the visit again with the amounts of that remittance.",
                   found.cents, ours.payer_key, found.first.claim_id)  # fmt: skip

    def _charges(
        self, changed: Sequence[Payment], known: Mapping[str, Any], history: Mapping[str, Sequence[Payment]]
    ) -> None:
        """Claims of which a payer has decided less than we billed. It may split a claim over several CLP, and over several remittances:
        what it has not taken back of all of them is its decision, and parts that make up the charge leave nothing to ask for."""
        in_this_run = {p.key for p in changed}
        whole: list[str] = []
        for claim_id in sorted({p.claim_id for p in changed if p.claim_id}):
            ours, listed = known[claim_id], history.get(claim_id, ())
            gone = {p.reverses for p in listed if p.reverses}
            decided: dict[str, list[Payment]] = defaultdict(list)
            for p in listed:
                if policy.STATUSES.get(p.status) == "processed" and p.key not in gone:
                    decided[p.clearing_key].append(p)
            for payments in decided.values():
                if sum(p.charge for p in payments) == ours.charge_cents:
                    whole += [p.key for p in payments]
                    continue
                pieces: dict[str, list[Payment]] = defaultdict(list)
                for p in payments:
                    pieces[p.remittance_id].append(p)
                for of_remittance in pieces.values():
                    missing = ours.charge_cents - sum(p.charge for p in of_remittance)
                    if missing > 0:
                        first = min(of_remittance, key=lambda p: p.number)
                        self._too_low(first, missing)
                        self.run.counts["charge_too_low"] += first.key in in_this_run
        close_items(  # of all at once: nearly every payment of a night is among them, and hardly one has an item
            self.run.connection, "remittance", whole, "the parts that the payer decided make up the charge", cause=TOO_LOW,
        )  # fmt: skip

    def _too_low(self, first: Payment, missing: int) -> None:
        self.run.item(first.key, TOO_LOW, "The payer decided a smaller charge than we billed",
                   f"Claim {first.number} of remittance {first.remittance_id}: the payer's charge (CLP03) is "
                   f"{shown(missing)} less than the claim's. Its money is posted; the rest stays in the receivable.",
                   "Look for lines that the payer has lost or will decide apart; ask the payer.",
                   missing, first.clearing_key, first.claim_id)  # fmt: skip

    def _line_problems(self, payments: Sequence[Payment], known: Mapping[str, Any]) -> None:
        checked = [p for p in payments if p.claim and p.claim.lines and policy.STATUSES[p.status] == "processed"]
        ours = self._our_lines([known[p.claim_id or ""] for p in checked])
        for payment in checked:
            mine = ours.get(payment.claim_id or "")
            if mine is None or payment.claim is None:
                continue
            by_problem: dict[str, list[int]] = defaultdict(list)
            for number, problem in lines.problems(payment.claim.lines, mine):
                by_problem[problem].append(number)
            for problem, numbers in by_problem.items():
                title, action = _LINE_WORDS[problem]
                self.run.counts[problem.replace("-", "_")] += len(numbers)
                paid = sum(line.paid for line in payment.claim.lines if line.number in numbers)
                self.run.item(payment.key, problem, title,
                           f"Lines {', '.join(map(str, numbers))} of claim {payment.number} in remittance "
                           f"{payment.remittance_id}. The claim's money is posted.",
                           action, paid, payment.clearing_key, payment.claim_id)  # fmt: skip

    def _our_lines(self, claims: Sequence[Any]) -> dict[str, list[lines.OurLine]]:
        """Claim → its lines as they were sent, from the lake."""
        parts: dict[tuple[date, str], list[str]] = defaultdict(list)
        for claim in claims:
            parts[claim.scrubbed_date, claim.scrubbed_part].append(claim.claim_id)
        found: dict[str, list[lines.OurLine]] = defaultdict(list)
        names = ["claim_id", "line_control_number", "procedure", "revenue_code", "modifier1", "modifier2", "modifier3",
                 "modifier4", "service_date"]  # fmt: skip
        for (day, part), ids in sorted(parts.items()):
            table = self.run.store.lake.read("scrubbed_lines", day, part, where=("claim_id", sorted(set(ids))))
            for claim_id, control, procedure, revenue, m1, m2, m3, m4, served in zip(
                *(table.column(name).to_pylist() for name in names), strict=True
            ):
                modifiers = tuple(m for m in (m1, m2, m3, m4) if m)
                found[claim_id].append(lines.OurLine(control, procedure or revenue, modifiers, served))
        return found

    def _underpayments(self, payments: Sequence[Payment], known: Mapping[str, Any]) -> None:
        """One item for each payment that allowed less than the contract says."""
        asked = [
            (p.claim, known[p.claim_id or ""])
            for p in payments
            if p.claim and p.status in underpayment.PRIMARY and not known[p.claim_id or ""].earlier_cents
        ]
        by_claim = {id(p.claim): p for p in payments}
        for short in underpayment.find(self.run.store, asked, self.run.profiles):
            payment = by_claim[id(short.claim)]
            ours = known[payment.claim_id or ""]
            terms = self.run.profiles[ours.payer_key].claims
            self.run.item(payment.key, "underpaid", "The payer allowed less than its contract says", short.reason,
                       "Compare the payment with the contract; ask the payer for the rest, or correct the contract's row.",
                       short.cents, ours.payer_key, payment.claim_id, queue="underpayment",
                       due=payment.paid_on + timedelta(days=terms.appeal_days))  # fmt: skip
            self.run.counts["underpayments"] += 1
            self.run.counts["underpaid_cents"] += short.cents

    def _overposted(self, changed: Sequence[Payment], known: Mapping[str, Any], less: Sequence[Difference]) -> None:
        """A visit whose payer has settled more than was charged: a credit that somebody must look at.

        Judged over all versions of the visit's claim, payer by payer: what a payer paid late on a version that was replaced is
        covered by the charge of its replacement until that one is paid as well, and the payer's reversal of the first one then makes
        it level. What a person has closed stays closed until more money comes. Where a payer took off `less` than earlier payers had
        settled, that is told as the reason, and apart where the visit is not overdrawn by it.
        """
        families: dict[str, list[str]] = defaultdict(list)
        for claim_id, row in sorted(known.items(), key=lambda item: item[1].version):
            families[row.encounter_key].append(claim_id)
        visits = sorted({known[p.claim_id].encounter_key for p in changed if p.claim_id})
        if not visits:
            return
        why = {known[d.first.claim_id or ""].encounter_key: d.told for d in less}
        balances = posting.claim_balances(self.run.connection, sorted(i for visit in visits for i in families[visit]))
        newest: dict[str, str] = {}  # visit → the latest payment that came in this run
        for payment in sorted(changed, key=lambda p: p.order):
            if payment.claim_id and payment.entries and payment.outcome != "reversal":
                newest[known[payment.claim_id].encounter_key] = payment.key
        items: dict[str, WorkItem] = {}
        for visit in visits:
            owed: dict[str, int] = defaultdict(int)
            for claim_id in families[visit]:
                for account, cents in balances.get(claim_id, {}).items():
                    if account == accounts.NEXT_PAYER or account.startswith("receivable:payer:"):
                        owed[account] += cents
            left = sum(min(cents, 0) for cents in owed.values())
            if left < 0:
                items[visit] = self._credit(
                    [i for i in families[visit] if i in balances], left, known, why.get(visit, "")
                )
        for difference in less:
            ours = known[difference.first.claim_id or ""]
            if ours.encounter_key not in items:
                self._differs(difference, ours, "What it decided is that much more than was open.")
        self.run.counts["overposted"] += len(items)
        settled = closed_by_person(self.run.connection, [item.item_id for item in items.values()])
        for visit, item in items.items():
            if item.item_id in settled and visit in newest:
                items[visit] = replace(item, reference=f"{item.reference} {newest[visit]}")
        self.run.items += items.values()
        subjects = [claim_id for visit in visits for claim_id in families[visit]]
        close_items(
            self.run.connection, "remittance", subjects, "the receivable is no longer overdrawn by this amount",
            cause=OVERPOSTED, but=[item.item_id for item in items.values()],
        )  # fmt: skip

    def _credit(self, versions: Sequence[str], left: int, known: Mapping[str, Any], why: str) -> WorkItem:
        """`versions`: those of the visit that stand in the ledger, oldest first."""
        which = f" (versions {', '.join(versions)})" if len(versions) > 1 else ""
        replaced = any(known[claim_id].closed_on for claim_id in versions)
        due = " A version that was paid has been replaced or voided: its reversal is due." if replaced else ""
        return WorkItem(
            queue="remittance", subject=versions[0], cause=OVERPOSTED, title="More was settled than was charged",
            reason=f"What payers owe on the claim{which} stands at {shown(left)}: payments, write-offs and the patient's "
                   f"share are more than the charge{' and what earlier payers left of it' if why else ''}.{due}{' ' + why if why else ''}",
            action="Look for a payment that came twice or a reversal that is missing; refund what is not ours.",
            cents=-left, payer_key=known[versions[-1]].payer_key, claim_id=versions[-1], opened_on=self.run.on, reference=str(-left),
        )  # fmt: skip


_UNKNOWN_PATIENT = "not_recognised"
_SPECIAL_WORDS = {
    _UNKNOWN_PATIENT: ("The payer does not know the patient", "Check the member id and the cover, and send it again.", "denial"),
    "forwarded": ("Not this payer's claim; sent on", "Wait for the other payer.", "remittance"),
    "predetermination": ("A forecast, not a payment", "Nothing is owed on it.", "remittance"),
}  # fmt: skip


def _goes_again(payment: Payment, claim: Claim) -> bool:
    """Whether the claim can only be filed anew, so that its filing days count, and not the days of an appeal."""
    return policy.STATUSES[payment.status] == _UNKNOWN_PATIENT or policy.asks_for_a_new_claim(claim.all_remarks())


_LINE_WORDS = {
    "line-not-found": ("A remittance line that matches none of ours", "Match it by hand; ask the payer for REF*6R."),
    "code-mismatch": ("The payer decided another procedure than we sent", "Compare the codes; appeal if the change is wrong."),
}  # fmt: skip
