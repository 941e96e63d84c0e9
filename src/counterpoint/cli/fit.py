"""``counterpoint fit``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from counterpoint.cli import terminal
from counterpoint.cli.options import (
    AsJson,
    Config,
    Data,
    LabelColumn,
    Sets,
    TextColumn,
    run_folder,
    settings,
    typed,
)
from counterpoint.cli.watch import watching


def fit(
    context: typer.Context,
    method: Annotated[str, typer.Argument(help="A method; `counterpoint show` describes it.")],
    data: Data,
    text: TextColumn = None,
    label: LabelColumn = None,
    size: Annotated[int | None, typer.Option(help="Height and width of images.")] = None,
    encoder: Annotated[
        str | None,
        typer.Option(help="A name (conv-small, timm, transformers), or {name: mlp, width: 64}."),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the data.")] = None,
    steps: Annotated[int | None, typer.Option(help="Optimiser steps, instead of epochs.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Samples a step.")] = None,
    seed: Annotated[int | None, typer.Option(help="Decides every random choice.")] = None,
    cached: Annotated[
        int | None, typer.Option(help="Encode so many at a time, loss over the whole batch.")
    ] = None,
    devices: Annotated[int | None, typer.Option(help="Processes, one a device.")] = None,
    groups_of: Annotated[
        int | None, typer.Option(help="Processes that share candidates; all of them if not given.")
    ] = None,
    precision: Annotated[str | None, typer.Option(help="32, bf16-mixed or 16-mixed.")] = None,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Log there, too.")] = False,
    wandb: Annotated[bool, typer.Option("--wandb", help="Log there, too.")] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in the folder of --out.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Folder of the run.")] = None,
    sets: Sets = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Train one method for real: checkpoints, resume, mixed precision, several devices."""
    from counterpoint.apps.fit import PROBLEMS
    from counterpoint.apps.fit import fit as run

    flags = {
        "epochs": epochs,
        "steps": steps,
        "batch_size": batch_size,
        "seed": seed,
        "cached": cached,
        "devices": devices,
        "groups_of": groups_of,
        "precision": precision,
        "tensorboard": tensorboard or None,
        "wandb": wandb or None,
    }
    folder = out if out or resume else run_folder(method)
    with watching() as on_progress:
        model = run(
            method,
            data,
            encoder=typed(encoder, "--encoder") if encoder else None,
            out=folder,
            resume=resume,
            text=text,
            label=label,
            size=size,
            on_progress=on_progress,
            **settings(context, sets, flags),
        )
    results = model.about["results"]
    if as_json:
        terminal.print_json({"directory": str(folder), **model.about})
        return
    problems = Path(f"{folder}/{PROBLEMS}")
    terminal.print_problems(json.loads(problems.read_text("utf-8")), str(problems))
    for warning in results["warnings"]:
        terminal.err.print(warning, style="yellow", markup=False, soft_wrap=True)
    steps, seconds, loss = (results[key] for key in ("steps", "seconds", "final_loss"))
    terminal.err.print(f"{steps} steps in {seconds:.0f} s, loss {loss:.3f}. The model:")
    terminal.out.print(f"{folder}/model", markup=False, soft_wrap=True)
