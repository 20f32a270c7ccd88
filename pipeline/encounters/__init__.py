"""Intake: one reader a source format, one normalised shape.

`formats` tells what an extract is, `layout` and `synthea` read it, `stage` compares it with what is known and records it.
"""
