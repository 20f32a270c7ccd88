"""claimpipe: visits to correct insurance claims, claims to money that agrees with the bank.

The package reads top to bottom as the way of the data:

    encounters → coding → scrubbing → claims → transport → acknowledgments → remittances → ledger → deposits

`x12` (the format) and `transactions` (what its segments mean) stand below the stages; `night` holds the order of the
stages, once, for the command line and for Airflow. Stages never import one another: they meet in `store` and in the
table shapes of `schemas/tables/`.
"""

__version__ = "0.1.0"
