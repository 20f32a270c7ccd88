"""`make setup` tells that the kernel could not be built: pip and uv are silent about what a build hook says."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_the_reason_is_said_and_stops_nothing(tmp_path: Path) -> None:
    shutil.copy(ROOT / "hatch_build.py", tmp_path)
    source = tmp_path / "pipeline" / "x12" / "kernel.c"
    source.parent.mkdir(parents=True)

    def setup() -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, tmp_path / "hatch_build.py"], capture_output=True, text=True, check=False
        )
        assert done.stdout == ""
        return done.returncode, done.stderr

    source.write_text("this is no C\n", encoding="utf-8")
    code, said = setup()
    assert code == 0
    assert said.startswith("claimpipe is installed without its compiled kernel")
    assert "kernel.c:1" in said

    library = source.with_name("_kernel.so")
    library.write_bytes(b"no library")
    code, said = setup()
    assert code == 0
    assert "_kernel.so" in said

    library.unlink()
    source.write_text("int nothing(void) { return 0; }\n", encoding="utf-8")
    assert setup() == (0, "")
    assert library.exists()


def test_make_setup_asks() -> None:
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").split("$(VENV)/.installed:")[1].split("\n\n")[0]
    assert recipe.index("--editable .") < recipe.index("python hatch_build.py")
