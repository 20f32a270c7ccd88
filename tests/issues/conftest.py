from transport.conftest import payer

__all__ = ["payer"]
