"""Which tokens of image-text sequences a language model must predict."""

from __future__ import annotations

import torch
from torch import Tensor

from counterpoint.errors import DataError


def language_labels(
    tokens: Tensor,
    *,
    start: int,
    pad: int,
    visual: int,
    end_of_chunk: int,
    end: int,
    chunks_only: bool = False,
    ignore_index: int = -100,
) -> Tensor:
    """The tokens as labels, those that are no targets replaced by ``ignore_index``.

    Padding, the start token and the placeholders of visuals never count. With ``chunks_only``
    (interleaved images and text) nothing counts but what follows a visual up to its end-of-chunk
    token, that included; the end of the sequence does not. Labels are not shifted.

    Args:
        tokens: int64 ``(N, T)``.
        start: token at the beginning.
        pad: token of the padding, which must be no other of these.
        visual: placeholder of an image or a clip.
        end_of_chunk: token after the text of a visual.
        end: token at the end of the sequence.
        chunks_only: True for interleaved images and text; False for pairs and interleaved video.
        ignore_index: label of what does not count.

    Returns:
        int64 ``(N, T)``.

    Raises:
        DataError: tokens of another shape or type, or two special tokens that are one.

    Source: Wang et al. 2024, COSMO, arXiv 2401.00849, authors' code.
    """
    if tokens.dim() != 2 or tokens.is_floating_point():
        raise DataError(f"tokens must be int64 (N, T), got {tokens.dtype} {tuple(tokens.shape)}.")
    if len({start, pad, visual, end_of_chunk, end}) < 5:
        raise DataError("start, pad, visual, end_of_chunk and end must be different tokens.")
    counted = (tokens != pad) & (tokens != visual) & (tokens != start)
    if chunks_only:
        counted &= _in_chunk(tokens, visual, end_of_chunk) & (tokens != end)
    return tokens.where(counted, ignore_index)


def _in_chunk(tokens: Tensor, visual: int, end_of_chunk: int) -> Tensor:
    place = torch.arange(tokens.shape[1], device=tokens.device).expand_as(tokens)
    opened = place.where(tokens == visual, -1).cummax(1).values
    closed = place.where(tokens == end_of_chunk, -1).cummax(1).values
    before = torch.nn.functional.pad(closed[:, :-1], (1, 0), value=-1)
    return opened > before
