"""Made-up extracts in the project's own layout, of any size: what `claimpipe sample` writes, and `sample_edi/extract/`."""

from pipeline.sample.maker import COMMITTED, make, read_kinds

__all__ = ["COMMITTED", "make", "read_kinds"]
