"""The X12 format: bytes ⇄ segments, envelopes, guides, validation. No file, no database, no claim.

Theory. An interchange declares its own delimiters in its first 106 bytes (ISA). From there on it is segments, ended by
the terminator, cut into elements and those into components; a guide says which segments may stand where. Everything in
this folder takes bytes and gives tables and findings, or the reverse.
"""
