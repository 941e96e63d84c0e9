"""The command: its help, its verbs and the options before the verb."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from counterpoint._version import __version__
from counterpoint.cli.bench import bench
from counterpoint.cli.claim import claim
from counterpoint.cli.compare import compare
from counterpoint.cli.doctor import doctor
from counterpoint.cli.embed import embed
from counterpoint.cli.fit import fit
from counterpoint.cli.guard import guarded, state
from counterpoint.cli.inspect import inspect
from counterpoint.cli.list import list_systems
from counterpoint.cli.probe import probe
from counterpoint.cli.reannotate import reannotate
from counterpoint.cli.review import review
from counterpoint.cli.show import show
from counterpoint.cli.terminal import out

app = typer.Typer(
    name="counterpoint",
    help="Learn representations by contrast, and trust the labels they are learnt from.",
    epilog="Start with `counterpoint compare`, or `counterpoint VERB --help` for examples.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        out.print(__version__)
        raise typer.Exit


@app.callback()
def _before(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the whole traceback of an error.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", is_eager=True, callback=_version),
    ] = False,
) -> None:
    state["debug"] = debug


def _add(verb: Callable[..., None], examples: str, name: str | None = None) -> None:
    lines = [f"- `counterpoint {line}`" for line in examples.splitlines()]
    app.command(name or verb.__name__, epilog="\n".join(["Examples:", "", *lines]))(guarded(verb))


_add(list_systems, "list\nlist '*cse'\nlist --kind loss --modality text\nlist --json", "list")
_add(show, "show dcl\nshow simclr --json")
_add(
    compare,
    "compare\n"
    "compare --data digits --methods simclr,dcl,supcon\n"
    "compare --data photos/ --epochs 50 --set simclr.temperature=0.2\n"
    "compare --data reviews.csv --text body --label stars",
)
_add(
    fit,
    "fit simclr --data photos/ --epochs 100 --set temperature=0.2\n"
    "fit simcse --data reviews.csv --text body\n"
    "fit moco --data digits --config my.yaml\n"
    "fit simclr --data photos/ --resume --out runs/20260101-120000-simclr",
)
_add(
    embed,
    "embed runs/my-run/model --data photos/ --out photos.parquet\n"
    "embed runs/my-run/model --data reviews.csv --text body --out reviews.npz",
)
_add(probe, "probe runs/my-run/model --data digits")
_add(inspect, "inspect runs/my-run/model --data digits --out space.html")
_add(
    reannotate,
    "reannotate\n"
    "reannotate reviews.csv --text body --label stars\n"
    "reannotate photos/ --encoder resnet18 --policy drop\n"
    "reannotate runs/my-run/embeddings.npz --json",
)
_add(
    review,
    "review runs/my-run\n"
    "review runs/my-run --reviewer ada --no-browser\n"
    "review runs/my-run --export decisions.csv --corrected corrected.parquet",
)
_add(claim, "claim dcl\nclaim temperature --seeds 5 --json")
_add(bench, "bench\nbench dcl clip --rows 8192\nbench --json")
_add(doctor, "doctor\ndoctor --json")
