"""``counterpoint reannotate``."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from counterpoint.cli import terminal
from counterpoint.cli.options import (
    AsJson,
    Config,
    LabelColumn,
    Sets,
    TextColumn,
    run_folder,
    settings,
)
from counterpoint.cli.watch import watching
from counterpoint.errors import SettingError

DEMONSTRATION = "docstrings"
PLANTED = 0.1
SHOWN = 10
IN_PARTS = (
    "A corpus in parts is judged from disk by texts, pictures or embeddings and one label a row: "
    "leave out --subject, --object, --template, --separator, --budget (fine-tuning holds all texts "
    "in memory) and --limit."
)
MEASURES = (
    ("auroc", "AUROC"),
    ("average_precision", "average precision"),
    ("f1", "F1"),
    ("accuracy", "rightly corrected"),
)


def reannotate(
    context: typer.Context,
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="FILE",
            help="A CSV, JSONL or Parquet table, .npz with embeddings and labels, an image "
            "folder, hf:NAME, or a built-in name. Without it: docstrings, a tenth of the labels "
            "made wrong, to show how it works and how well.",
        ),
    ] = None,
    text: TextColumn = None,
    label: LabelColumn = None,
    image: Annotated[
        str | None, typer.Option(help="Column of picture files.", metavar="COLUMN")
    ] = None,
    subject: Annotated[
        str | None,
        typer.Option(help="Column of a relation's first entity.", metavar="COLUMN"),
    ] = None,
    object_: Annotated[
        str | None,
        typer.Option("--object", help="Column of its second entity.", metavar="COLUMN"),
    ] = None,
    template: Annotated[
        str | None,
        typer.Option(
            help="How to write a relation, with {subject}, {object} and {text}; without it both "
            "are marked in the text.",
            metavar="TEXT",
        ),
    ] = None,
    separator: Annotated[
        str | None,
        typer.Option(help="What stands between several labels of one row.", metavar="TEXT"),
    ] = None,
    truth: Annotated[
        str | None,
        typer.Option(help="Column of true labels: measure how well it did.", metavar="COLUMN"),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(help="Column that marks test rows, which stay as they are.", metavar="COLUMN"),
    ] = None,
    encoder: Annotated[
        str | None, typer.Option(help="A text or timm encoder, or the folder of a model.")
    ] = None,
    policy: Annotated[str, typer.Option(help="gated, all or drop.")] = "gated",
    noise: Annotated[
        float | None, typer.Option(help="Make this share of labels wrong first.", min=0, max=0.9)
    ] = None,
    kind: Annotated[
        str, typer.Option(help="Of that noise: confusable, uniform, annotator or instance.")
    ] = "confusable",
    force: Annotated[bool, typer.Option("--force", help="Change test rows as well.")] = False,
    budget: Annotated[
        float | None,
        typer.Option(
            help="Minutes it may take: with enough of them the text encoder is fine-tuned. "
            "Pictures and embeddings are always judged as they are.",
            metavar="MINUTES",
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option(help="At most this many rows.", min=2)] = None,
    embedding: Annotated[
        str | None,
        typer.Option(help="Column of embeddings, in a folder of Parquet files.", metavar="COLUMN"),
    ] = None,
    engine: Annotated[
        str,
        typer.Option(
            help="local, or ray: a cluster embeds and searches a folder of Parquet files."
        ),
    ] = "local",
    out: Annotated[Path | None, typer.Option(help="Folder to write to.")] = None,
    sets: Sets = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Find the wrong labels of a corpus, and propose the right ones."""
    from counterpoint.apps.engines import engine as engine_named
    from counterpoint.apps.reannotate import judge_from, reannotate_corpus
    from counterpoint.apps.sharded import parts_of, reannotate_parts
    from counterpoint.data.corpus import read_corpus
    from counterpoint.report.reannotate import reannotate_page

    judge = judge_from(settings(context, sets, {}))
    make_engine = engine_named(engine)
    columns = {"text": text, "image": image, "label": label, "truth": truth, "split": split}
    parts = parts_of(source or DEMONSTRATION, engine=engine, embedding=embedding, **columns)
    if parts is not None and any((subject, object_, template, separator, budget, limit)):
        raise SettingError(IN_PARTS)
    if noise is None:
        noise = PLANTED if source is None else 0.0
    folder = out or run_folder("reannotate")
    with watching() as on_progress:
        how: dict[str, Any] = {
            "encoder": encoder,
            "judge": judge,
            "policy": policy,
            "noise": noise,
            "kind": kind,
            "force": force,
            "on_progress": on_progress,
        }
        if parts is not None:
            found = reannotate_parts(parts, folder, engine=make_engine(), **how)
        else:
            corpus = read_corpus(
                source or DEMONSTRATION,
                subject=subject,
                object_=object_,
                template=template,
                separator=separator,
                limit=limit,
                **columns,
            )
            found = reannotate_corpus(corpus, folder, budget=budget, **how)
    page = folder / "report.html"
    reannotate_page(found, page)
    found["files"]["report.html"] = str(page)
    if as_json:
        terminal.print_json(found)
    else:
        _draw(found, folder)


def _draw(found: Mapping[str, Any], folder: Path) -> None:
    data = found["data"]
    if "planted" in found:
        _say(
            f"{found['planted']['share']:.0%} of the labels of {data['name']} were made wrong "
            f"({found['planted']['kind']}), to see how many are found."
        )
    terminal.print_problems(data["problems"], str(folder / "report.html"))
    _draw_worst(found["worst"][:SHOWN])
    terminal.out.print(_counted(found), soft_wrap=True)
    proof = found.get("proof", {})
    if methods := proof.get("methods"):
        rows = [[name, *(values[key] for key, _ in MEASURES)] for name, values in methods.items()]
        terminal.out.print(terminal.table(["", *(title for _, title in MEASURES)], rows))
    if note := proof.get("note"):
        _say(note)
    for note in found["notes"]:
        _say(note, style="dim")
    if "source.parquet" in found["files"]:
        _say(f"To decide on each: counterpoint review {shlex.quote(str(folder))}")
    terminal.out.print(f"{folder}/report.html", markup=False, soft_wrap=True)


def _say(text: str, style: str | None = None) -> None:
    terminal.err.print(text, markup=False, soft_wrap=True, style=style)


def _draw_worst(worst: Sequence[Mapping[str, Any]]) -> None:
    keys = ("row", "credibility", "label", "suggested_label")
    rows = [
        [*(entry[key] for key in keys), _short(entry.get("text") or entry["name"])]
        for entry in worst
    ]
    if rows:
        columns = ["row", "credibility", "label", "suggested", "content"]
        terminal.out.print(terminal.table(columns, rows, whole=("row",)))


def _counted(found: Mapping[str, Any]) -> str:
    data, many = found["data"], found.get("multi_label")
    changes = f"{found['changed']}{' rows' if many else ''} changed, {found['dropped']} dropped."
    if many:
        return (
            f"{many['wrong']} of {data['labels']} labels look wrong and {many['missing']} more "
            f"missing, in {found['flagged']} of {data['judged']} rows; {changes}"
        )
    return (
        f"{found['flagged']} of {data['judged']} labels look wrong (about "
        f"{found['noise_share']:.0%} are, by estimate); {changes}"
    )


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else line[:59] + "…"
