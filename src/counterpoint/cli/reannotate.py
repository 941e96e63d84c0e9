"""``counterpoint reannotate``."""

from __future__ import annotations

from collections.abc import Mapping
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
    if noise is None:
        noise = PLANTED if source is None else 0.0
    parts = parts_of(
        source or DEMONSTRATION,
        engine=engine,
        text=text,
        image=image,
        embedding=embedding,
        label=label,
        split=split,
        truth=truth,
    )
    if parts is not None:
        whole = (subject, object_, template, separator, budget, limit)
        if any(whole):
            raise SettingError(IN_PARTS)
    folder = out or run_folder("reannotate")
    with watching() as on_progress:
        if parts is not None:
            found = reannotate_parts(
                parts,
                folder,
                engine=make_engine(),
                encoder=encoder,
                judge=judge,
                policy=policy,  # type: ignore[arg-type]
                noise=noise,
                kind=kind,  # type: ignore[arg-type]
                force=force,
                on_progress=on_progress,
            )
        else:
            corpus = read_corpus(
                source or DEMONSTRATION,
                text=text,
                label=label,
                image=image,
                subject=subject,
                object_=object_,
                template=template,
                separator=separator,
                truth=truth,
                split=split,
                limit=limit,
            )
            found = reannotate_corpus(
                corpus,
                folder,
                encoder=encoder,
                judge=judge,
                policy=policy,  # type: ignore[arg-type]
                noise=noise,
                kind=kind,  # type: ignore[arg-type]
                force=force,
                budget=budget,
                on_progress=on_progress,
            )
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
        terminal.err.print(
            f"{found['planted']['share']:.0%} of the labels of {data['name']} were made wrong "
            f"({found['planted']['kind']}), to see how many are found.",
            soft_wrap=True,
        )
    terminal.print_problems(data["problems"], str(folder / "report.html"))
    worst = found["worst"][:SHOWN]
    if worst:
        columns = ["row", "credibility", "label", "suggested", "content"]
        rows = [
            [
                entry["row"],
                entry["credibility"],
                entry["label"],
                entry["suggested_label"],
                _short(entry.get("text") or entry["name"]),
            ]
            for entry in worst
        ]
        terminal.out.print(terminal.table(columns, rows, whole=("row",)))
    many = found.get("multi_label")
    if many:
        terminal.out.print(
            f"{many['wrong']} of {data['labels']} labels look wrong and {many['missing']} more "
            f"missing, in {found['flagged']} of {data['judged']} rows; {found['changed']} rows "
            f"changed, {found['dropped']} dropped.",
            soft_wrap=True,
        )
    else:
        terminal.out.print(
            f"{found['flagged']} of {data['judged']} labels look wrong (about "
            f"{found['noise_share']:.0%} are, by estimate); {found['changed']} changed, "
            f"{found['dropped']} dropped.",
            soft_wrap=True,
        )
    if "budget" in found:
        terminal.err.print(found["budget"]["note"], markup=False, soft_wrap=True)
    methods = found.get("proof", {}).get("methods")
    if methods:
        rows = [[name, *(values[key] for key, _ in MEASURES)] for name, values in methods.items()]
        terminal.out.print(terminal.table(["", *(title for _, title in MEASURES)], rows))
    if found.get("proof", {}).get("note"):
        terminal.err.print(found["proof"]["note"], markup=False, soft_wrap=True)
    terminal.err.print(found["notes"][0], markup=False, soft_wrap=True, style="dim")
    terminal.out.print(f"{folder}/report.html", markup=False, soft_wrap=True)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else line[:59] + "…"
