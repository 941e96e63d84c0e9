"""The model card: what a model is and how it came to be, written from the run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def model_card(config: Mapping[str, Any]) -> str:
    """Markdown with the front matter that the Hugging Face hub reads.

    Args:
        config: the model's configuration as saved.
    """
    text = config["encoder"]["modality"] == "text"
    method = config.get("method")
    lines = [
        "---",
        f"library_name: {'sentence-transformers' if text else 'counterpoint'}",
        f"pipeline_tag: {'sentence-similarity' if text else 'image-feature-extraction'}",
        "tags:",
        "- counterpoint",
        "- contrastive-learning",
        *([f"- {method}"] if method else []),
        "---",
        "",
        f"# {_title(config)}",
        "",
        f"Embeds {'texts' if text else 'images'} as vectors of {config['width']} numbers. "
        f"Made with counterpoint {config['version']}.",
        "",
        "```python",
        "import counterpoint as cp",
        "",
        'model = cp.load("this-folder")',
        f"z = model.embed({'texts' if text else 'images'})  # (N, {config['width']})",
        "```",
        "",
    ]
    if text:
        lines += [
            "The folder also opens with `sentence_transformers.SentenceTransformer(folder)` and "
            "then gives the same embeddings.",
            "",
        ]
    for title, key in (
        ("Data", "data"),
        ("Encoder", "encoder"),
        ("Method arguments", "arguments"),
        ("Training settings", "settings"),
        ("Results", "results"),
    ):
        if config.get(key):
            lines += [f"## {title}", "", *_table(config[key]), ""]
    lines += [
        "## Licence",
        "",
        "counterpoint is under Apache-2.0. The licences of the training data and of any "
        "pre-trained weights the encoder started from apply to these weights as well; "
        "check them before passing the model on.",
        "",
    ]
    return "\n".join(lines)


def _title(config: Mapping[str, Any]) -> str:
    name = config["encoder"]["name"]
    if not config.get("method"):
        return f"{name}, untrained"
    data = config.get("data", {}).get("name")
    return f"{name} trained with {config['method']}" + (f" on {data}" if data else "")


def _table(values: Mapping[str, Any]) -> list[str]:
    rows = [f"| {key} | {_cell(value)} |" for key, value in values.items()]
    return ["| what | value |", "|---|---|", *rows]


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return "<br>".join(_cell(entry) for entry in value) or "none"
    return str(value).replace("|", "\\|").replace("\n", " ")
