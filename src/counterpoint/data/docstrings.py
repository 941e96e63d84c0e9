"""What functions say they do, out of the sources of installed scientific packages."""

from __future__ import annotations

import ast
import json
import re
import textwrap
import warnings
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from counterpoint.data.cache import cached
from counterpoint.data.dataset import Dataset
from counterpoint.data.packages import package_folder
from counterpoint.data.texts import Row, text_dataset
from counterpoint.errors import DataError

SUBPACKAGES = {
    "numpy": ("_core", "lib", "ma", "polynomial"),
    "scipy": (
        "cluster",
        "fft",
        "integrate",
        "interpolate",
        "io",
        "linalg",
        "ndimage",
        "optimize",
        "signal",
        "sparse",
        "spatial",
        "special",
        "stats",
    ),
    "sklearn": (
        "cluster",
        "decomposition",
        "ensemble",
        "feature_extraction",
        "linear_model",
        "metrics",
        "model_selection",
        "preprocessing",
    ),
    "pandas": (
        "core/arrays",
        "core/dtypes",
        "core/groupby",
        "core/indexes",
        "core/reshape",
        "core/strings",
        "io",
        "plotting",
    ),
    "torch": (
        "ao",
        "autograd",
        "cuda",
        "distributed",
        "distributions",
        "fx",
        "nn",
        "onnx",
        "optim",
        "profiler",
    ),
}
"""Sub-packages that make the classes, by package and folder."""

DISTRIBUTIONS = {"sklearn": "scikit-learn"}
FEWEST, MOST = 40, 300
"""A sub-package with fewer sentences makes no class; of one with more, some are taken evenly."""


def load(size: int | None = None, seed: int = 0, test_share: float = 0.2) -> Dataset:
    """First sentence of each public function's docstring; class: the sub-package it is in.

    Read from the sources of numpy, scipy, scikit-learn, pandas and torch, as far as installed,
    without importing them. Repeated sentences count once. ``partners`` holds the source of each
    function without its docstring. Kept in the user's cache folder by package versions.

    Args:
        size: not used.
        seed: seed of the split.
        test_share: part held out, drawn class by class.

    Raises:
        DataError: fewer than two sub-packages are installed.
    """
    roots = {name: root for name in SUBPACKAGES if (root := package_folder(name)) is not None}
    key = " ".join(f"{name} {version(DISTRIBUTIONS.get(name, name))}" for name in roots)
    pairs = json.loads(cached("docstrings", key, lambda: json.dumps(_collected(roots))))
    if len({pair["label"] for pair in pairs}) < 2:
        raise DataError(f"docstrings needs at least one of {', '.join(SUBPACKAGES)} installed.")
    rows = [Row(p["name"], p["sentence"], p["label"], p["source"]) for p in pairs]
    return text_dataset("docstrings", rows, label="sub-package", seed=seed, test_share=test_share)


def _collected(roots: dict[str, Path]) -> list[dict[str, str]]:
    """Name, sentence, label and source of the functions that make the data."""
    seen: set[str] = set()
    pairs: list[dict[str, str]] = []
    for package, root in roots.items():
        for part in SUBPACKAGES[package]:
            label = ".".join([package, *part.split("/")]).replace("._", ".")
            fresh = []
            for name, sentence, source in _documented(root / part):
                if sentence.lower() not in seen:
                    seen.add(sentence.lower())
                    pair = {"name": f"{label}: {name}", "sentence": sentence, "source": source}
                    fresh.append(pair | {"label": label})
            if len(fresh) >= FEWEST:
                step = max(1.0, len(fresh) / MOST)
                pairs += [fresh[int(i * step)] for i in range(min(len(fresh), MOST))]
    return pairs


def _documented(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Name, first sentence and source of every public function below a folder."""
    for file in sorted(folder.rglob("*.py")):
        parts = file.relative_to(folder).parts
        if any(part.startswith(("test", "conftest", "bench")) for part in parts):
            continue
        code = file.read_text(encoding="utf-8")
        with warnings.catch_warnings(action="ignore"):
            tree = ast.parse(code)
        for name, node in _functions(tree, ""):
            documentation = ast.get_docstring(node)
            sentence = first_sentence(documentation or "")
            if sentence:
                yield name, sentence, _without_docstring(code.splitlines(), node)


def _functions(
    tree: ast.Module | ast.ClassDef, prefix: str
) -> Iterator[tuple[str, ast.FunctionDef]]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            if isinstance(node, ast.ClassDef):
                yield from _functions(node, f"{prefix}{node.name}.")
            else:
                yield prefix + node.name, node


def first_sentence(documentation: str) -> str:
    """The first sentence of a docstring's first paragraph; empty if it is no sentence of prose."""
    paragraph = " ".join(documentation.strip().split("\n\n")[0].split())
    sentence = re.split(r"(?<=[.!?])\s+(?=[A-Z])", paragraph)[0]
    prose = re.match(r"\w[\w'-]*,? ", sentence) and len(sentence.split()) >= 3
    return sentence if prose and "---" not in sentence and len(sentence) <= 400 else ""


def _without_docstring(lines: list[str], node: ast.FunctionDef) -> str:
    words = node.body[0]
    head = lines[node.lineno - 1 : words.lineno - 1]
    rest = lines[words.end_lineno : node.end_lineno]
    return textwrap.dedent("\n".join(head + rest))
