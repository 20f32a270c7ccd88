"""Builds the compiled kernel (`pipeline/x12/kernel.c`) when claimpipe is installed, with the C compiler of the package ziglang.

The kernel calls nothing and includes only the compiler's own headers, so this takes a second and needs nothing of the system.
Where it cannot be built claimpipe works without it, more slowly: that is said and stops nothing.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCE, LIBRARY = "pipeline/x12/kernel.c", "pipeline/x12/_kernel.so"
#: any processor of the kind will do, not only this very one: an image may run elsewhere
_OPTIONS = [
    "-O3",
    "-mcpu=baseline",
    "-shared",
    "-fPIC",
    "-nostdlib",
    "-ffreestanding",
    "-s",
    "-Wall",
    "-Wextra",
    "-Werror",
]


def build(source: Path, library: Path) -> None:
    """Compile; the library takes its name when it is whole. Raises OSError or CalledProcessError."""
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    with tempfile.TemporaryDirectory(prefix="claimpipe-kernel-") as room:
        made = Path(room) / library.name
        environment = {**os.environ, "ZIG_GLOBAL_CACHE_DIR": room, "ZIG_LOCAL_CACHE_DIR": room}
        command = [sys.executable, "-m", "ziglang", "cc", *_OPTIONS, f'-DX12_SOURCE="{digest}"', "-o", str(made)]
        subprocess.run([*command, str(source)], check=True, env=environment, capture_output=True, text=True)
        working = library.with_name(f".{library.name}.{os.getpid()}")
        working.write_bytes(made.read_bytes())
        working.replace(library)


def without(error: Exception) -> str:
    """What is told where the kernel could not be built or loaded."""
    said = (getattr(error, "stderr", None) or str(error)).strip()
    return f"claimpipe is installed without its compiled kernel and reads X12 files more slowly: {said}"


class KernelHook(BuildHookInterface):  # type: ignore[type-arg]
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name != "wheel":
            return
        library = Path(self.root) / LIBRARY
        try:
            build(Path(self.root) / SOURCE, library)
        except (OSError, subprocess.CalledProcessError) as error:
            library.unlink(missing_ok=True)
            self.app.display_warning(without(error))
            return
        build_data["artifacts"].append(LIBRARY)
        build_data["pure_python"] = False
        build_data["infer_tag"] = True


def main() -> None:
    """Say on stderr why there is no kernel; silent where there is one. Installers swallow what a build hook says."""
    root = Path(__file__).resolve().parent
    try:
        if not (root / LIBRARY).exists():
            build(root / SOURCE, root / LIBRARY)
        ctypes.CDLL(str(root / LIBRARY))
    except (OSError, subprocess.CalledProcessError) as error:
        print(without(error), file=sys.stderr)


if __name__ == "__main__":
    main()
