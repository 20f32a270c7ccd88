"""The compiled kernel for tests: the one that was installed, else one built for them."""

from __future__ import annotations

import atexit
import importlib.util
import shutil
import tempfile
from functools import cache
from pathlib import Path

import pytest

from pipeline.x12 import kernel
from pipeline.x12.kernel import Kernel

ROOT = Path(__file__).resolve().parents[1]


@cache
def built() -> Kernel:
    """Skips the test where there is neither a kernel nor a compiler."""
    installed = kernel.kernel()
    if installed is not None:
        return installed
    if importlib.util.find_spec("ziglang") is None:
        pytest.skip("no kernel was built, and ziglang is not installed")
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    hook = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hook)
    room = tempfile.mkdtemp(prefix="claimpipe-kernel-")
    atexit.register(shutil.rmtree, room, ignore_errors=True)
    hook.build(kernel.SOURCE, Path(room) / "kernel.so")
    return Kernel(Path(room) / "kernel.so")
