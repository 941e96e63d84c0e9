"""A trained model: embeds items, is saved and loaded again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from counterpoint import encoders, methods
from counterpoint._version import __version__
from counterpoint.apps.model_card import model_card
from counterpoint.data.batch import Inputs, map_inputs
from counterpoint.data.dataset import Split
from counterpoint.data.pictures import read_picture, to_tensor
from counterpoint.encoders.base import Encoder
from counterpoint.encoders.text import TextEncoder
from counterpoint.errors import DataError, SettingError
from counterpoint.methods.base import Method
from counterpoint.progress import OnProgress, Progress

FORMAT = 1
WEIGHTS = "model.safetensors"
METHOD_WEIGHTS = "method.safetensors"


class Model:
    """An encoder, or a method with its encoder, ready to embed.

    Args:
        encoder: turns inputs into representations.
        method: the method that trained it; only one with an ``embed`` of its own is kept in a
            saved model, others leave the encoder alone.
        about: how it came to be, for the model card: ``method``, ``arguments``, ``settings``,
            ``data``, ``results``; plain JSON values.
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        method: Method | None = None,
        about: Mapping[str, Any] | None = None,
    ) -> None:
        self.encoder, self.method = encoder, method
        self.about = dict(about or {})

    @property
    def modality(self) -> str:
        """``"images"`` or ``"text"``."""
        return self.encoder.modality

    def embed(
        self, items: Any, batch_size: int = 256, progress: OnProgress | None = None
    ) -> NDArray[np.float32]:
        """Embeddings of items, not normalised.

        Args:
            items: texts; or images of the size the model was made for, uint8 or float in [0, 1]
                ``(C, H, W)``, tensors or arrays, one by one or stacked; Pillow images and paths
                of picture files are scaled to that size. A `Split` stands for its items.
            batch_size: items at once.
            progress: told how far it is.

        Returns:
            float32 ``(N, D)``.

        Raises:
            DataError: no items, items of another kind or size, or embeddings that are not finite.
        """
        rows = items.items if isinstance(items, Split) else items
        if isinstance(rows, str | Path):
            raise DataError(f"embed takes a sequence of items, got the single item {rows!r}.")
        count = len(rows)
        if count == 0:
            raise DataError("There is nothing to embed: no items were given.")
        network: nn.Module = self.method if self.method is not None else self.encoder
        was_training = network.training
        network.eval()
        try:
            return self._embed(rows, count, batch_size, progress)
        finally:
            network.train(was_training)

    def _embed(
        self, rows: Any, count: int, batch_size: int, progress: OnProgress | None
    ) -> NDArray[np.float32]:
        order = self._order(rows, count)
        device = next(self.encoder.parameters()).device
        parts: list[Tensor] = []
        with torch.inference_mode():
            for start in range(0, count, batch_size):
                chosen = order[start : start + batch_size]
                inputs = self.encoder.prepare(self._items([rows[i] for i in chosen], chosen))
                inputs = map_inputs(inputs, lambda tensor: tensor.to(device))
                z = self._network_embed(inputs)
                parts.append(z.float().cpu())
                if progress is not None:
                    progress(Progress("embed", min(start + batch_size, count), count))
        z = torch.cat(parts)
        if not z.isfinite().all():
            row = order[int((~z.isfinite().all(dim=1)).nonzero()[0])]
            raise DataError(f"The embedding of item {row} is not finite; the model is unusable.")
        sorted_z = torch.empty_like(z)
        sorted_z[torch.tensor(order)] = z
        return sorted_z.numpy()

    def _network_embed(self, inputs: Inputs) -> Tensor:
        z: Tensor = self.encoder(inputs) if self.method is None else self.method.embed(inputs)
        return z

    def _order(self, rows: Any, count: int) -> list[int]:
        """Texts by length, which saves padding; images as they come."""
        if self.modality != "text":
            return list(range(count))
        return sorted(range(count), key=lambda i: len(rows[i]) if isinstance(rows[i], str) else 0)

    def _items(self, items: list[Any], rows: Sequence[int]) -> list[Any]:
        if self.modality == "text":
            return items
        config = self.encoder.config
        return [
            _pixels(item, row, config["channels"], config["size"])
            for item, row in zip(items, rows, strict=True)
        ]

    def save(self, folder: str | Path) -> Path:
        """Writes safetensors, configuration and a model card (``README.md``).

        An image model is ``model.safetensors`` with ``config.json``. A text model is a folder that
        ``sentence_transformers.SentenceTransformer(folder)`` opens; what counterpoint adds is in
        ``counterpoint.json``. An earlier model in ``folder`` is replaced.

        Raises:
            SettingError: ``folder`` holds other things, or cannot be written.
        """
        folder = Path(folder)
        if folder.exists() and any(folder.iterdir()) and _config_file(folder) is None:
            raise SettingError(f"{folder} exists and holds no model; choose another folder.")
        partial = folder.with_name(f".{folder.name}.partial")
        try:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            self._write(partial)
            shutil.rmtree(folder, ignore_errors=True)
            partial.rename(folder)
        except OSError as error:
            shutil.rmtree(partial, ignore_errors=True)
            raise SettingError(f"Cannot write the model to {folder}: {error}.") from error
        return folder

    def _write(self, folder: Path) -> None:
        whole = self.method is not None and type(self.method).embed is not Method.embed
        config = {
            "format": FORMAT,
            "version": __version__,
            "encoder": self.encoder.config,
            "width": self.encoder.width,
            "whole_method": whole,
            **self.about,
        }
        if isinstance(self.encoder, TextEncoder):
            self.encoder.save_folder(folder)
            name = "counterpoint.json"
        else:
            _save_tensors(self.encoder, folder / WEIGHTS)
            name = "config.json"
        if whole and self.method is not None:
            _save_tensors(self.method, folder / METHOD_WEIGHTS, without="encoder.")
        if self.method is not None:
            self.method.export(folder)
        (folder / name).write_text(json.dumps(config, indent=2) + "\n")
        (folder / "README.md").write_text(model_card(config))


def load(folder: str | Path) -> Model:
    """Opens a model that `Model.save` wrote; no code from the folder is run.

    Raises:
        DataError: no model there, or one that cannot be read.
    """
    folder = Path(folder)
    file = _config_file(folder)
    if file is None:
        raise DataError(f"No model in {folder}: config.json or counterpoint.json is missing.")
    try:
        config = json.loads(file.read_text())
        encoder = _load_encoder(folder, config)
        method = None
        if config["whole_method"]:
            method = methods.build(config["method"], encoder, **config["arguments"])
            _load_tensors(method, folder / METHOD_WEIGHTS, without="encoder.")
            method.eval()
    except (KeyError, TypeError, json.JSONDecodeError, SafetensorError, OSError) as error:
        raise DataError(f"The model in {folder} cannot be read: {error!r}.") from error
    known = {"format", "version", "encoder", "width", "whole_method"}
    about = {key: value for key, value in config.items() if key not in known}
    return Model(encoder.eval(), method=method, about=about)


def _load_encoder(folder: Path, config: Mapping[str, Any]) -> Encoder:
    if config["encoder"]["modality"] == "text":
        length = config["encoder"].get("max_length")
        encoder = encoders.build(str(folder), modality="text", max_length=length)
        encoder.config = dict(config["encoder"])
        return encoder
    encoder = encoders.build(**config["encoder"])
    _load_tensors(encoder, folder / WEIGHTS)
    return encoder


def _config_file(folder: Path) -> Path | None:
    for name in ("counterpoint.json", "config.json"):
        file = folder / name
        if file.is_file() and '"whole_method"' in file.read_text(errors="replace"):
            return file
    return None


def _save_tensors(module: nn.Module, file: Path, without: str | None = None) -> None:
    state = {
        key: value.detach().cpu().contiguous().clone()
        for key, value in module.state_dict().items()
        if without is None or not key.startswith(without)
    }
    save_file(state, file, metadata={"format": "pt"})


def _load_tensors(module: nn.Module, file: Path, without: str | None = None) -> None:
    missing, unexpected = module.load_state_dict(load_file(file), strict=False)
    missing = [key for key in missing if without is None or not key.startswith(without)]
    if missing or unexpected:
        raise DataError(
            f"{file} does not fit its configuration: missing {missing[:3]}, "
            f"not known {unexpected[:3]}."
        )


def _pixels(item: Any, row: int, channels: int, size: int) -> Tensor:
    if isinstance(item, str | Path):
        item = read_picture(Path(item), size, channels)
    elif hasattr(item, "convert"):
        item = to_tensor(item, size, channels)
    pixels = torch.as_tensor(item)
    if tuple(pixels.shape) != (channels, size, size):
        raise DataError(
            f"Item {row} is of shape {tuple(pixels.shape)}; this model takes images "
            f"({channels}, {size}, {size})."
        )
    if pixels.dtype == torch.uint8:
        return pixels.float() / 255
    if not pixels.is_floating_point() or not bool(((pixels >= 0) & (pixels <= 1)).all()):
        raise DataError(f"Item {row} must be uint8, or floats in [0, 1].")
    return pixels.float()
