"""Pages made at build time: one a system, the claims, the benchmarks, the command line."""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from claim_plots import MARKS, plot
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from typer.testing import CliRunner

from counterpoint import catalog
from counterpoint.apps.card import card, reference_methods
from counterpoint.cli.app import app
from counterpoint.data import builtin

ROOT = Path(__file__).parents[1]
BENCHMARKS = ROOT / "benchmarks" / "results"
VERDICTS = {verdict: f"{mark} {verdict}" for verdict, mark in MARKS.items()}

ROOMS = {
    "objectives": "Losses: a function each, and a module with the same arguments.",
    "pairs": "What belongs together, how strongly, and what is kept of earlier batches.",
    "probes": "What a simple classifier makes of frozen embeddings.",
    "geometry": "The shape of a space of embeddings.",
    "curation": "Which samples and labels to believe.",
    "encoders": "Networks by name, heads, momentum copies.",
    "views": "Random views of a sample.",
    "data": "Real data in one shape.",
    "engine": "Similarity to loss without the N×N matrix.",
    "apps": "What the verbs of the command line do.",
}

_cards: dict[str, dict[str, Any]] = {}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Collects the cards, and puts a page of each into the navigation."""
    present = [entry.id for entry in catalog.entries() if entry.status != "planned"]
    _cards.clear()
    _cards.update({id: card(id) for id in [*reference_methods(), *present]})
    pages = ["systems/index.md", *({_cards[id]["name"]: f"systems/{id}.md"} for id in _cards)]
    for item in config.nav or []:
        if "Systems" in item:
            item["Systems"] = pages
        if "Reference" in item:
            item["Reference"] = [f"reference/{room}.md" for room in ROOMS]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the generated pages."""
    pages = {
        "systems/index.md": _catalogue(),
        "claims.md": _claims(),
        **{f"reference/{room}.md": _room(room, about) for room, about in ROOMS.items()},
        "benchmarks.md": _benchmarks(),
        "command-line.md": _command_line(),
        "decisions/index.md": _decisions(files),
        **{f"systems/{id}.md": _system(found) for id, found in _cards.items()},
    }
    for path, text in pages.items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, **more: Any) -> str:
    """Fills in the list of built-in data, and verdicts of claims, where a page asks for them."""
    markdown = markdown.replace("<!-- built-in data -->", "\n".join(_built_in()))
    return re.sub(r"<!-- verdict ([\w-]+) -->", _verdict, markdown)


def _verdict(asked: re.Match[str]) -> str:
    return ", ".join(VERDICTS[claim["verdict"]] for claim in _cards[asked[1]]["claims"])


def _built_in() -> Iterator[str]:
    yield "| name | what | where from |"
    yield "|---|---|---|"
    for source in builtin():
        yield f"| `{source.name}` | {source.summary} | {source.origin} |"


def _catalogue() -> str:
    lines = [
        "# Systems",
        "",
        f"{len(catalog.entries())} published systems. Each mark is proved by a test:",
        "",
        *(f"- **{status}**: {promise}" for status, promise in catalog.MEANING.items()),
        "",
        "| id | name | paper | changes | status |",
        "|---|---|---|---|---|",
    ]
    for entry in catalog.entries():
        link = f"[{entry.id}]({entry.id}.md)" if entry.id in _cards else entry.id
        paper = f"[{entry.title}]({entry.url}), {entry.venue}"
        lines.append(f"| {link} | {entry.name} | {paper} | {entry.kind} | {entry.status} |")
    lines += ["", "Methods that these systems are built on or compared with:", ""]
    lines += [
        f"- [{found['name']}]({id}.md)" for id, found in _cards.items() if "title" not in found
    ]
    return "\n".join(lines)


def _system(found: dict[str, Any]) -> str:
    lines = [f"# {found['name']}", ""]
    if "title" in found:
        lines += [
            f"*{found['title']}*, {found['venue']}, [arXiv {found['arxiv']}]({found['url']})."
        ]
        lines += ["", f"Changes: {found['kind']}. Takes: {found['modality']}."]
    lines += ["", f"Status: **{found['status']}**: {found['promise']}.", ""]
    for language, uses in (("console", found["use"]["shell"]), ("python", found["use"]["python"])):
        if uses:
            lines += [f"```{language}", *uses, "```", ""]
    if found["claims"]:
        lines += ["## Claims tested", ""]
        lines += [line for claim in found["claims"] for line in _claim(claim)]
    methods = [module for module in found["code"] if module.startswith("methods.")]
    for module in methods:
        lines += [f"## `counterpoint.{module}`", "", *_documented(module), ""]
    others = [part for part in found["parts"] if part["kind"] != "method"]
    if others:
        lines += ["## What it is made of", ""]
        lines += [
            f"- [`{p['name']}`]{_where(p)}: {p['summary'].replace('::', '.')}" for p in others
        ]
    if "forms" in found:
        lines += ["", *_forms(found["forms"])]
    return "\n".join(lines)


def _where(part: dict[str, Any]) -> str:
    """What the name of a part links to: the page of an objective, else the reference."""
    if "record" in part:
        return f"(../objectives/{part['name']}.md)"
    return f"[{part['module']}.{part['name']}]"


def _forms(forms: list[dict[str, str]]) -> Iterator[str]:
    """Losses and symbolic forms, each derived from the other."""
    yield "## Symbolic forms\n"
    yield (
        "The form is derived from the loss, and the loss in the last column from P, P_C and P_A "
        "again. `counterpoint show dpa-logic --derive 'w / l'` does it for any other.\n"
    )
    columns = ["loss", "core P", "constraint P_C", "additive P_A", "derived loss"]
    yield f"| name | {' | '.join(columns)} |"
    yield f"|---|{'---|' * len(columns)}"
    for form in forms:
        name = f"{form['name']} ({form['also']})" if form["also"] else form["name"]
        yield f"| {name} | {' | '.join(f'`{form[column]}`' for column in columns)} |"


def _documented(module: str) -> Iterator[str]:
    yield f"::: counterpoint.{module}"
    yield "    options:"
    yield "      show_root_heading: false"
    yield "      show_root_toc_entry: false"
    yield "      inherited_members: false"


def _room(room: str, about: str) -> str:
    """Every public module of a room."""
    package = importlib.import_module(f"counterpoint.{room}")
    names = [m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_")]
    lines = [f"# {room.capitalize()}", "", about, ""]
    for name in names:
        lines += [f"## `{room}.{name}`", "", *_documented(f"{room}.{name}"), ""]
    return "\n".join(lines)


def _claim(claim: dict[str, Any]) -> Iterator[str]:
    yield f"**{VERDICTS[claim['verdict']]}**: {claim['claim']}"
    yield f"\nData: {claim['data']}. Seeds: {claim['seeds']}. {claim['rule']}\n"
    yield f"{plot(claim)}\n"
    yield "| part | method | baseline | metric | effect | 95 % interval | verdict |"
    yield "|---|---|---|---|---:|---|---|"
    for part in claim["parts"]:
        low, high = part["ci95"]
        yield (
            f"| `{part['id']}`: {part['claim']} | {part['method']} | {part['baseline']} "
            f"| {part['metric']} | {part['effect']:.3g} | {low:.3g} to {high:.3g} "
            f"| {VERDICTS[part['verdict']]} |"
        )
    yield ""


def _claims() -> str:
    lines = [
        "# Claims",
        "",
        "Each claim was tested again on real data: the method against a baseline that differs in "
        "one thing, several seeds, a 95 % interval of the difference. Refuted claims stay here. "
        "`counterpoint claim ID` repeats a test.",
        "",
        "| system | claim | verdict | parts that hold | seeds | data |",
        "|---|---|---|---:|---:|---|",
    ]
    for id, found in _cards.items():
        for claim in found["claims"]:
            held = sum(part["verdict"] == "holds" for part in claim["parts"])
            lines.append(
                f"| [{id}](systems/{id}.md) | {claim['claim']} | {VERDICTS[claim['verdict']]} "
                f"| {held} of {len(claim['parts'])} | {claim['seeds']} | {claim['data']} |"
            )
    for id, found in _cards.items():
        for claim in found["claims"]:
            lines += ["", f"## {found['name']}", ""]
            lines += [f"**{VERDICTS[claim['verdict']]}**: {claim['claim']}", "", plot(claim), ""]
            lines += [f"[What was measured, and how](systems/{id}.md#claims-tested)"]
    return "\n".join(lines)


def _benchmarks() -> str:
    results = sorted(path for path in BENCHMARKS.glob("*") if path.suffix in (".json", ".txt"))
    lines = ["# Benchmarks", "", "Every figure here was printed by a script under `benchmarks/`."]
    if not results:
        return "\n".join([*lines, "", "None was recorded yet: `make bench` does it."])
    for path in results:
        lines += ["", f"## `benchmarks/{path.stem}.py`", ""]
        text = path.read_text(encoding="utf-8")
        lines += _figures(json.loads(text)) if path.suffix == ".json" else ["```text", text, "```"]
    return "\n".join(lines)


def _figures(results: dict[str, Any]) -> Iterator[str]:
    """Plain values in a line; ``{column: {row: value}}`` or ``{row: value}`` as a table."""
    plain = {key: value for key, value in results.items() if not isinstance(value, dict)}
    yield ", ".join(f"{key} {value}" for key, value in plain.items())
    for title, columns in results.items():
        if not isinstance(columns, dict):
            continue
        if not any(isinstance(column, dict) for column in columns.values()):
            columns = {"": columns}
        rows = dict.fromkeys(name for column in columns.values() for name in column)
        yield f"\n| {title} | {' | '.join(columns)} |"
        yield f"|---|{'---:|' * len(columns)}"
        for name in rows:
            cells = (_figure(column.get(name)) for column in columns.values())
            yield f"| {name} | {' | '.join(cells)} |"


def _figure(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else "" if value is None else str(value)


def _command_line() -> str:
    lines = ["# Command line", ""]
    verbs = [[str(command.name)] for command in app.registered_commands]
    for args in [[], *verbs]:
        shown = CliRunner().invoke(app, [*args, "--help"], env={"COLUMNS": "76", "TERM": "dumb"})
        lines += [
            f"## counterpoint {' '.join(args)}".rstrip(),
            "",
            "```text",
            shown.stdout.strip("\n"),
            "```",
            "",
        ]
    return "\n".join(line.rstrip() for line in "\n".join(lines).splitlines())


def _decisions(files: Files) -> str:
    lines = ["# Decisions", "", "What was decided, why, and what was not chosen.", ""]
    for file in sorted(files.documentation_pages(), key=lambda file: file.src_uri):
        if file.src_uri.startswith("decisions/") and file.name != "index":
            title = file.content_string.splitlines()[0].lstrip("# ")
            lines.append(f"- [{title}]({Path(file.src_uri).name})")
    return "\n".join(lines)
