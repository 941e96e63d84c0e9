"""Embeds a corpus once: quick, in reduced precision where that is exact enough, and kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from counterpoint import encoders
from counterpoint.apps import model as models
from counterpoint.data.corpus import LONGEST_TEXT
from counterpoint.data.vectors import VectorCache, content_keys
from counterpoint.encoders.base import Encoder
from counterpoint.errors import DataError
from counterpoint.progress import OnProgress, Progress

KEPT_AT_ONCE = 2048


def represent_texts(
    texts: Sequence[str],
    encoder: str | None = None,
    *,
    batch_size: int = 64,
    cache: bool = True,
    on_progress: OnProgress | None = None,
) -> NDArray[np.float32]:
    """Embeddings ``(N, D)``; each different text is embedded once and kept by its content.

    Sorted by length, and in bfloat16 where the processor multiplies it natively (cosine to float32
    at least 0.999). Kept every 2,048 texts, so that a killed run goes on where it was.

    Args:
        texts: N texts.
        encoder: a text encoder by name, or the folder of a saved model; None for ``"minilm"``.
        batch_size: texts at once.
        cache: whether to use the user's cache folder.
        on_progress: told how far it is.
    """
    short = [text[:LONGEST_TEXT] for text in texts]
    every, place = np.unique(content_keys(short), return_inverse=True)
    first = np.full(len(every), len(short))
    np.minimum.at(first, place, np.arange(len(short)))
    reduced = native_bfloat16()
    store = (
        VectorCache(f"{encoder_identity(encoder)} {'bf16' if reduced else 'fp32'}")
        if cache
        else None
    )
    found, vectors = store.find(every) if store else (np.zeros(len(every), dtype=bool), None)
    missing = np.flatnonzero(~found)
    if len(missing) == 0 and vectors is not None:
        return vectors[place]
    network = text_encoder(encoder)
    if reduced:
        network = network.to(torch.bfloat16)
    if vectors is None:
        vectors = np.empty((len(every), network.width), dtype=np.float32)
    missing = missing[np.argsort([len(short[first[row]]) for row in missing], kind="stable")]
    done = len(every) - len(missing)
    for start in range(0, len(missing), KEPT_AT_ONCE):
        part = missing[start : start + KEPT_AT_ONCE]
        for at in range(0, len(part), batch_size):
            rows = part[at : at + batch_size]
            vectors[rows] = _embedded(network, [short[first[row]] for row in rows])
            done += len(rows)
            if on_progress is not None:
                on_progress(Progress("embed", done, len(every)))
        if store:
            store.keep(every[part], vectors[part])
    return vectors[place]


def represent_images(
    images: Sequence[Any],
    encoder: str | None = None,
    *,
    batch_size: int = 256,
    on_progress: OnProgress | None = None,
) -> NDArray[np.float32]:
    """Embeddings ``(N, D)`` of pictures.

    Args:
        images: uint8 or float ``(C, H, W)``, all of one shape.
        encoder: the folder of a saved model, or a pretrained timm encoder; None takes the pixels
            themselves, averaged to at most 16 x 16.
        batch_size: images at once.
        on_progress: told how far it is.
    """
    shape = tuple(torch.as_tensor(images[0]).shape)
    if encoder is None:
        side = min(16, *shape[-2:])
        small = []
        for start in range(0, len(images), batch_size):
            rows = range(start, min(start + batch_size, len(images)))
            pixels = torch.stack([torch.as_tensor(images[row]).float() for row in rows])
            small.append(torch.nn.functional.adaptive_avg_pool2d(pixels, side).flatten(1))
        return torch.cat(small).numpy()
    if Path(encoder).is_dir():
        model = models.load(encoder)
    else:
        network = encoders.build(
            encoder, modality="images", channels=shape[0], size=shape[1], pretrained=True
        )
        model = models.Model(network)
    return model.embed(images, batch_size, on_progress)


def represent(
    items: Sequence[Any],
    encoder: str | None = None,
    *,
    images: bool | None = None,
    on_progress: OnProgress | None = None,
) -> NDArray[Any]:
    """Embeddings ``(N, D)`` of texts, of images ``(C, H, W)``, or of rows that are some already.

    Args:
        items: N of one kind.
        encoder: what embeds texts or images.
        images: whether they are images; None looks at the first.
        on_progress: told how far it is.

    Raises:
        DataError: nothing, or things of several kinds.
    """
    if not items:
        raise DataError("No row has both content and a label; there is nothing to judge.")
    if isinstance(items[0], str):
        odd = next((row for row, item in enumerate(items) if not isinstance(item, str)), None)
        if odd is not None:
            raise DataError(f"Input {odd} is {type(items[odd]).__name__}, not a text.")
        return represent_texts(items, encoder, on_progress=on_progress)
    if images or (images is None and np.ndim(items[0]) == 3):
        return represent_images(items, encoder, on_progress=on_progress)
    try:
        return np.asarray(items, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(
            "inputs must be texts, images (C, H, W) or embeddings of one length (N, D)."
        ) from error


def native_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 natively."""
    asked = (
        getattr(torch.cpu, name, None)
        for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    )
    return any(ask is not None and ask() for ask in asked)


def text_encoder(name: str | None) -> Encoder:
    """A text encoder by name, or out of the folder of a saved model; None for the default."""
    if name is not None and (Path(name) / "counterpoint.json").is_file():
        encoder = models.load(name).encoder
    else:
        encoder = encoders.build(name, modality="text")
    return encoder.eval()


def encoder_identity(name: str | None) -> str:
    """What tells one encoder from another: its name, and for a folder when it was written."""
    if name is not None and Path(name).is_dir():
        written = max(file.stat().st_mtime_ns for file in Path(name).rglob("*") if file.is_file())
        return f"{Path(name).resolve()} {written}"
    return name or encoders.default("text")


@torch.inference_mode()
def _embedded(network: Encoder, texts: list[str]) -> NDArray[np.float32]:
    z: NDArray[np.float32] = network(network.prepare(texts)).float().numpy()
    if not np.isfinite(z).all():
        raise DataError(f"The encoder gives NaN or infinity for {texts[0][:80]!r}.")
    return z
