"""The layers of ARCHITECTURE.md, as import-linter sees them; and the DAG files' promise to be thin."""

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_the_layers_hold():
    done = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]


def test_dag_files_import_nothing_heavy_at_the_top():
    for path in sorted((ROOT / "dags").glob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ImportFrom):
                assert node.module in {"airflow.sdk", "pipeline"}, f"{path.name} imports {node.module}"
                if node.module == "pipeline":
                    assert [a.name for a in node.names] == ["dagkit"], path.name
            assert not isinstance(node, ast.Import), path.name


def test_every_room_says_its_theory():
    for path in sorted((ROOT / "pipeline").rglob("*.py")):
        if "versions" in path.parts:
            continue
        text = path.read_text()
        if text.strip():
            assert ast.get_docstring(ast.parse(text)), f"{path.relative_to(ROOT)} begins with no docstring"


def test_no_room_hides_a_circle_of_imports_from_the_interpreter():
    """Two modules of one room that need each other have something in common, which belongs beneath both."""
    for path in sorted((ROOT / "pipeline").glob("*/**/*.py")):
        hidden = [
            name
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
            for inner in node.body if isinstance(inner, ast.ImportFrom)
            for name in [inner.module or ""] if name.startswith(f"pipeline.{path.relative_to(ROOT).parts[1]}.")
        ]  # fmt: skip
        assert hidden == [], f"{path.relative_to(ROOT)} imports for types alone: {', '.join(hidden)}"
