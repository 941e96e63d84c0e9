"""A page an objective, and the overview by the data one has, made at build time.

Formula in words, arguments and errors come from the docstring, the rest from the registry and from
``objectives/records.toml``, whose relations and examples tests run.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from typing import Any

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from counterpoint import catalog
from counterpoint.apps.card import describe
from counterpoint.objectives.records import kinds_of_data, record, records
from counterpoint.objectives.registry import find

ALONE = {
    "global": "With `across_ranks=True` the loss and the gradients are those of one process.",
    "rows": "No row looks at another: averaging over processes of equal batches is exact.",
    "batch": "The loss is that of a process's own batch.",
}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Puts the pages into the navigation, grouped as in the overview."""
    groups = [
        {kind.capitalize(): [{name: _path(name)} for name in _names(kind)]}
        for kind in kinds_of_data()
    ]
    for item in config.nav or []:
        if item.get("Objectives") == "objectives.md":
            item["Objectives"] = [{"Which one?": "objectives.md"}, *groups]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the generated pages."""
    for name in records():
        files.append(File.generated(config, _path(name), content="\n".join(_page(name))))
    return files


def on_page_markdown(markdown: str, page: Page, **more: Any) -> str:
    """Fills in the overview where a page asks for it."""
    mark = "<!-- objectives by data -->"
    return markdown.replace(mark, "\n".join(_overview())) if mark in markdown else markdown


def _path(name: str) -> str:
    return f"objectives/{name}.md"


def _names(kind: str) -> list[str]:
    return [name for name, found in records().items() if found.data == kind]


def _overview() -> Iterator[str]:
    yield "| you have | start with | which is | and there are |"
    yield "|---|---|---|---|"
    for kind, data in kinds_of_data().items():
        others = ", ".join(_link(name, _path(name)) for name in _names(kind) if name != data.start)
        start = _link(data.start, _path(data.start))
        have = f"[{data.have}](#{_anchor(data.have)})"
        yield f"| {have} | {start} | {_advice(data.start)} | {others} |"
    for kind, data in kinds_of_data().items():
        yield f"\n### {data.have} {{ #{_anchor(data.have)} }}\n"
        yield "| objective | takes | in one line |"
        yield "|---|---|---|"
        for name in _names(kind):
            yield f"| {_link(name, _path(name))} | {_takes(name)} | {_advice(name)} |"


def _anchor(heading: str) -> str:
    return "-".join(re.findall(r"\w+", heading.lower()))


def _advice(name: str) -> str:
    return _linked(record(name).advice, "objectives/")


def _takes(name: str) -> str:
    """The arguments that have no default."""
    arguments = describe(find(name).function)["arguments"]
    return ", ".join(f"`{a['name']}`" for a in arguments if a["default"] is None)


def _page(name: str) -> Iterator[str]:
    part = describe(find(name).function)
    known = part["record"]
    yield f"# {name}\n"
    yield f"*{_linked(known['advice'])}*\n"
    yield f"{convert(known['formula'], display='block')}\n"
    yield _flowing(f"{part['summary']}\n\n{part['about']}\n")
    yield f"**When:** {_linked(known['when'])}\n"
    yield f"**Unless:** {_linked(known['unless'])}\n"
    yield "## Example\n"
    yield f"```python\n{known['example'].strip()}\n```\n"
    yield "## Inputs and settings\n"
    yield from _arguments(part)
    yield from _relations(name, known["relations"])
    yield "## Across processes, code, source\n"
    yield f"- Across processes: {known['across_ranks']}. {ALONE[known['ranks']]}"
    yield f"- Function: [`cp.objectives.functional.{name}`][{part['module']}.{name}]"
    if known["module"]:
        yield f"- Module: [`cp.objectives.{known['module']}`][{part['module']}.{known['module']}]"
    if known["systems"]:
        names = {entry.id: entry.name for entry in catalog.entries()}
        links = (f"[{names[id]}](../systems/{id}.md)" for id in known["systems"])
        yield f"- Part of: {', '.join(links)}"
    yield f"- Source: {_flowing(part['sections']['Source'])}"


def _arguments(part: dict[str, Any]) -> Iterator[str]:
    yield f"Takes: {part['record']['inputs']}.\n"
    yield "| argument | type | default | what |"
    yield "|---|---|---|---|"
    for a in part["arguments"]:
        default = "" if a["default"] is None else f"`{a['default']}`"
        about = _one_line(_flowing(a["about"]))
        yield f"| `{a['name']}` | `{_one_line(a['type'])}` | {default} | {about} |"
    yield f"\n**Returns:** {_flowing(part['sections']['Returns'])}\n"
    yield f"**Raises:**\n\n{_errors(part['sections'].get('Raises', ''))}\n"


def _errors(text: str) -> str:
    return "\n".join(f"- `{line.replace(':', '`:', 1)}" for line in _joined(text))


def _joined(text: str) -> list[str]:
    """Lines, those that go on with a deeper indent joined to the one before."""
    return re.sub(r"\n\s+", " ", text).splitlines()


def _relations(name: str, relations: list[dict[str, Any]]) -> Iterator[str]:
    if not relations:
        return
    yield "## Relations\n"
    yield "Each is a test: value and gradients in float64, to 1e-9 or as stated.\n"
    for relation in relations:
        of = "" if relation["of"] == name else f"{_link(relation['of'])}: "
        to = f" To {relation['within']:g}." if relation["within"] > 1e-9 else ""
        yield f"{of}{_linked(relation['says'])}{to}\n"
        sign = "==" if relation["compare"] == "value and gradient" else "# has the gradient of\n"
        yield f"```python\n{relation['this']}\n{sign} {relation['that']}\n```\n"
    used = {k: v for relation in relations for k, v in relation["inputs"].items()}
    yield '??? note "The names in these expressions"\n'
    yield "    Functions are those of `counterpoint.objectives.functional`, else of `torch`; also"
    yield "    `normalize` and `cross_entropy` of `torch.nn.functional`, `compile_loss` of"
    yield "    `counterpoint.objectives.preference_logic`, and `icnn_score` of its own module.\n"
    yield "    ```python"
    yield from (f"    {key} = {code}" for key, code in used.items())
    yield "    ```\n"


def _flowing(text: str) -> str:
    """A docstring's text in Markdown."""
    text = re.sub(r"(?m)^::\n\n", "", text)
    return _linked(re.sub(r"::\n\n", ":\n\n", text))


def _linked(text: str, folder: str = "") -> str:
    """Names of objectives and of public things as links."""
    return re.sub(r"(?<!`)`([\w.]+)`(?!`)", lambda found: _target(found[1], folder), text)


def _target(name: str, folder: str) -> str:
    short = name.rpartition(".")[2]
    if short in records():
        return _link(short, f"{folder}{short}.md")
    module, _, thing = name.rpartition(".")
    if module.startswith("counterpoint."):
        try:
            found = getattr(importlib.import_module(module), thing)
        except (ImportError, AttributeError):
            return f"`{name}`"
        if getattr(found, "__module__", "") == module:
            return f"[`{thing}`][{name}]"
    return f"`{name}`"


def _link(name: str, path: str | None = None) -> str:
    return f"[`{name}`]({path or f'{name}.md'})"


def _one_line(text: str) -> str:
    return " ".join(text.split())
