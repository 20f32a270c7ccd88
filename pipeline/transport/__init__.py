"""Moving files: claim files to payers, answers back. Two stages, `sending` and `inbox`, over one kind of connection.

Theory. The network may fail at any byte, so nothing is believed that was not said: before each step that the payer could
notice, the register says that the step may happen; after it, that it did. What lies between is looked up on the server
after a restart, and where the server cannot tell (payers empty their inboxes) the answer is `unknown` and never a second
copy. What comes in is archived and recorded before it goes from the server. See `docs/transport.md`.
"""
