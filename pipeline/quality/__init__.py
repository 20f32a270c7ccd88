"""Data quality by Great Expectations: suites as JSON in `schemas/expectations/`, run on the fresh rows of each stage.

Results are kept as counts only. Great Expectations' own stored results and Data Docs hold failing values, which are
patient data, so neither is written; `reports.page` makes a page of our own.
"""
