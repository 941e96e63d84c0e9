"""What verbs that use a trained model have in common."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from counterpoint.errors import SettingError

if TYPE_CHECKING:
    from counterpoint.apps.model import Model
    from counterpoint.data import Dataset

ModelFolder = Annotated[
    Path, typer.Argument(help="Folder of a model, as `fit` writes it.", metavar="MODEL")
]

Limit = Annotated[int | None, typer.Option(help="At most this many samples.", min=2)]


class Splits(StrEnum):
    """Which samples of a data set."""

    all = "all"
    train = "train"
    test = "test"


def open_both(
    folder: Path, data: str, text: str | None, label: str | None, limit: int | None
) -> tuple[Model, Dataset]:
    """Loads a model, and the data at the size the model was made for.

    Raises:
        SettingError: the data are not of the kind that the model embeds.
    """
    from counterpoint.apps.model import load
    from counterpoint.data import load as load_data

    model = load(folder)
    size = None
    if model.modality == "images" and text is None:
        size = model.encoder.config["size"]
    samples = load_data(data, text=text, label=label, size=size, limit=limit)
    if samples.modality != model.modality:
        raise SettingError(
            f"The model in {folder} embeds {model.modality}; {samples.name} holds "
            f"{samples.modality}."
        )
    return model, samples
