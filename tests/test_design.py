"""The rules of the house that a machine can check."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "counterpoint"
FILES = sorted(SOURCE.rglob("*.py"))

LEVELS = (
    {"engine"},
    {"data", "encoders", "views"},
    {"pairs"},
    {"objectives"},
    {"probes", "geometry"},
    {"curation"},
    {"training"},
    {"methods"},
    {"apps"},
    {"claims"},
    {"report"},
    {"cli"},
)
HEIGHT = {room: height for height, rooms in enumerate(LEVELS) for room in rooms}
OPEN_TO_ALL = {"errors", "catalog", "progress", "_version"}
CONTRACTS = {("training", "methods.base")}
"""What a room may know of one above it: the contract, not what fulfils it."""

FORBIDDEN = {("methods", "training")}
"""Rooms that stand lower and are closed all the same."""


@cache
def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def room(file: Path) -> str:
    parts = file.relative_to(SOURCE).parts
    return parts[0] if len(parts) > 1 else ""


def imported(file: Path) -> Iterator[str]:
    """Dotted names a file imports anywhere, also inside functions; ``a.b.name`` of ``from a.b``."""
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
            first = node.args[0] if node.args else None
            if name in {"require", "import_module"} and isinstance(first, ast.Constant):
                yield str(first.value)


def inner(name: str) -> str | None:
    """``"methods.base.Method"`` of ``"counterpoint.methods.base.Method"``."""
    prefix, _, rest = name.partition(".")
    return rest if prefix == "counterpoint" else None


def trespasses(here: str, name: str) -> bool:
    there = name.split(".")[0]
    if not there or there in OPEN_TO_ALL or there not in HEIGHT or there == here:
        return False
    if any(here == a and (name == b or name.startswith(f"{b}.")) for a, b in CONTRACTS):
        return False
    return (here, there) in FORBIDDEN or HEIGHT[there] > HEIGHT[here]


@pytest.mark.parametrize("file", [f for f in FILES if room(f)], ids=lambda f: f.stem)
def test_rooms_import_downwards_only(file: Path) -> None:
    names = [name for name in map(inner, imported(file)) if name]
    assert [name for name in names if trespasses(room(file), name)] == []


def test_every_folder_is_a_known_room() -> None:
    assert {room(file) for file in FILES} <= {"", *HEIGHT}


@pytest.mark.parametrize(
    ("here", "name", "wrong"),
    [
        ("engine", "objectives.functional", True),
        ("objectives", "engine", False),
        ("training", "methods.base.Method", False),
        ("training", "methods.image.dcl", True),
        ("methods", "training.train", True),
        ("data", "encoders.base", False),
        ("apps", "report.board", True),
        ("apps", "errors.DataError", False),
    ],
)
def test_the_rule_itself(here: str, name: str, wrong: bool) -> None:
    assert trespasses(here, name) is wrong


def test_only_training_knows_lightning() -> None:
    knows = {
        room(file)
        for file in FILES
        for name in imported(file)
        if name.split(".")[0] in {"lightning", "pytorch_lightning"}
    }
    assert knows <= {"training"}


def test_only_the_command_line_draws_on_the_terminal() -> None:
    draws = {
        room(f) for f in FILES for name in imported(f) if name.split(".")[0] in {"rich", "typer"}
    }
    calls = {
        room(file)
        for file in FILES
        for node in ast.walk(tree(file))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    }
    assert draws == {"cli"}
    assert calls <= {"cli"}


def test_only_data_reads_files_of_data() -> None:
    readers = {"read_csv", "read_parquet", "read_json", "read_table", "imread", "load_dataset"}
    found = {
        f"{file.relative_to(SOURCE)}: {node.func.attr}"
        for file in FILES
        if room(file) != "data"
        for node in ast.walk(tree(file))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in readers
    }
    assert found == set()


def test_public_things_have_docstrings() -> None:
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    bare = [
        f"{file.relative_to(SOURCE)}: {node.name}"
        for file in FILES
        for node in tree(file).body
        if isinstance(node, kinds) and not node.name.startswith("_") and not ast.get_docstring(node)
    ]
    assert bare == []


def test_modules_say_what_they_are() -> None:
    bare = [
        str(file.relative_to(SOURCE))
        for file in FILES
        if tree(file).body and not ast.get_docstring(tree(file)) and file.name != "_version.py"
    ]
    assert bare == []


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_import_is_light() -> None:
    code = (
        "import sys, time; start = time.perf_counter(); import counterpoint;"
        "print('torch' in sys.modules, time.perf_counter() - start)"
    )
    answers = [run(code).split() for _ in range(3)]
    assert {torch for torch, _ in answers} == {"False"}
    assert min(float(seconds) for _, seconds in answers) <= 0.3


def test_every_public_name_exists() -> None:
    code = "import counterpoint as cp; print(all(hasattr(cp, name) for name in cp.__all__))"
    assert run(code) == "True"
