"""The store: register (SQL), archive (bytes under their sha256), lake (Parquet by stage and date).

Stages meet here and nowhere else. `Store` bundles the three; a stage reads what it needs, does its work in memory, and
records it in one register transaction.
"""

from pipeline.store.store import Store, open_store, open_to_read

__all__ = ["Store", "open_store", "open_to_read"]
