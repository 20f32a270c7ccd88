from __future__ import annotations

import pytest

from pipeline.transactions.claim_837_route import Route


@pytest.fixture
def way() -> Route:
    return Route(
        submitter_name="DEMO PRACTICE", submitter_id="DEMO", submitter_contact="BILLING OFFICE", submitter_phone="6175550100",
        sender_qualifier="ZZ", sender_id="DEMO", group_sender="DEMO", receiver_name="HARBOR MUTUAL",
        receiver_qualifier="ZZ", receiver_id="BOXHARBOR", group_receiver="BOXHARBOR", payer_name="HARBOR MUTUAL",
        payer_id="HARBOR1", payer_address1="27 LONG WHARF", payer_city="BOSTON", payer_state="MA", payer_zip="021100000",
    )  # fmt: skip
