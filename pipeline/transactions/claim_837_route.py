"""Who sends, who receives, who pays: what is the same in every claim of a file, and the file's control numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pipeline.transactions.claim_837_tables import Charset


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    submitter_name: str
    submitter_id: str
    submitter_contact: str
    submitter_phone: str
    sender_qualifier: str
    sender_id: str
    group_sender: str
    receiver_name: str
    receiver_qualifier: str
    receiver_id: str
    group_receiver: str
    payer_name: str
    payer_id: str
    payer_address1: str = ""
    payer_city: str = ""
    payer_state: str = ""
    payer_zip: str = ""
    filing_indicator: str = "CI"
    assignment: str = "A"
    benefits_assignment: str = "Y"
    release_of_information: str = "Y"
    charset: Charset = "basic"
    acknowledgment_requested: Literal["0", "1"] = "1"
    usage: Literal["T", "P"] = "T"
    newline: bool = False


@dataclass(frozen=True, slots=True)
class Numbers:
    """Control numbers of one interchange with its one group. Sets are numbered from 0001."""

    interchange: int
    group: int
