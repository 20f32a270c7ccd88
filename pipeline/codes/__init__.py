"""Code sets dated by service date.

A code is judged against the edition that is in force on the day of service. Editions are data: the project ships the
ICD-10-CM list of April 2026 (numbers only), small lists of its own (place of service, states, reason codes) and loads the
user's official files by effective date (`loading.load`). Where no edition covers a date, the nearest one is used and the
verdict says so: the caller makes a finding of it, never silence.

| module | what |
|---|---|
| `catalogue`, `sources`, `loading`, `editions`, `listing` | which sets there are; files → editions in the home; what is loaded |
| `judging`, `icd10cm`, `lists` | is a code valid on a day |
| `pairs`, `units`, `patients`, `necessity` | NCCI pairs, unit limits and add-on codes; age and sex; medical necessity |
| `fees`, `contracts` | the Medicare fee schedule, contracts, expected payment, underpayment |
"""

from pipeline.codes.icd10cm import (
    FIRST_DAY,
    Edition,
    Icd10cm,
    Status,
    Verdict,
    load_file,
    normal,
    open_icd10cm,
    valid,
)
from pipeline.codes.listing import loaded, not_loaded
from pipeline.codes.lists import (
    PROCEDURE,
    known_procedure,
    mbi,
    modifier_shaped,
    npi,
    place_of_service,
    procedure_shaped,
    reason_codes,
    remark_codes,
    sexes,
    states,
    taxonomy_shaped,
)

__all__ = [
    "FIRST_DAY",
    "PROCEDURE",
    "Edition",
    "Icd10cm",
    "Status",
    "Verdict",
    "known_procedure",
    "load_file",
    "loaded",
    "mbi",
    "modifier_shaped",
    "normal",
    "not_loaded",
    "npi",
    "open_icd10cm",
    "place_of_service",
    "procedure_shaped",
    "reason_codes",
    "remark_codes",
    "sexes",
    "states",
    "taxonomy_shaped",
    "valid",
]
