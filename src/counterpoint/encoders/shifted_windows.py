"""A vision transformer of windows that sees every patch grid twice, once shifted."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, scaled_dot_product_attention

from counterpoint.errors import DataError, SettingError

EPSILON = 1e-6


def window_pattern(depth: int, windows: int = 4, stages: int = 4) -> list[int | None]:
    """Windows per side of each layer; the last layer of each stage attends globally (None).

    Args:
        depth: layers.
        windows: K of the others.
        stages: parts of equal depth; 1 for the frozen copy, whose last layer alone is global.

    Raises:
        SettingError: stages do not divide the depth.

    Source: Kim et al. 2023, DITO, arXiv 2310.00161, released code.
    """
    if stages < 1 or depth < 1 or depth % stages:
        raise SettingError(f"{stages} stages do not divide {depth} layers.")
    step = depth // stages
    return [None if layer % step == 0 else windows for layer in range(1, depth + 1)]


class WindowedBlock(nn.Module):
    """Attention inside K x K windows, then a feed-forward net; each normalised before and added.

    Args:
        width: D.
        heads: of the attention; logits are divided by the root of a head's width.
        windows: K, windows per side (not their width); None for the whole grid.
        hidden: width of the feed-forward net; None for 4 D.

    Raises:
        SettingError: heads do not divide the width, or K below 1.
    """

    def __init__(
        self, width: int, heads: int, windows: int | None = None, hidden: int | None = None
    ) -> None:
        super().__init__()
        if heads < 1 or width % heads or (windows is not None and windows < 1):
            raise SettingError(f"width {width}, heads {heads} and windows {windows} do not fit.")
        self.heads, self.windows = heads, windows
        self.before_attention = nn.LayerNorm(width, eps=EPSILON)
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)
        self.before_mlp = nn.LayerNorm(width, eps=EPSILON)
        hidden = 4 * width if hidden is None else hidden
        self.mlp = nn.Sequential(
            nn.Linear(width, hidden), nn.GELU(approximate="tanh"), nn.Linear(hidden, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """``(B, h, w, D)`` to the same shape.

        Raises:
            DataError: a grid that K does not divide.
        """
        _, h, w, _ = x.shape
        k = self.windows or 1
        if h % k or w % k:
            raise DataError(f"A grid of {h} x {w} patches has no {k} x {k} equal windows.")
        x = x + _joined(self._attend(_split(self.before_attention(x), k)), k, h, w)
        out: Tensor = x + self.mlp(self.before_mlp(x))
        return out

    def _attend(self, tokens: Tensor) -> Tensor:
        q, k, v = (
            layer(tokens).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        attended: Tensor = self.out(
            scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        )
        return attended


def _split(x: Tensor, k: int) -> Tensor:
    """``(B, h, w, D)`` to the tokens of each window ``(B k k, h w / k^2, D)``."""
    b, h, w, d = x.shape
    parts = x.reshape(b, k, h // k, k, w // k, d)
    return parts.transpose(2, 3).reshape(b * k * k, -1, d)


def _joined(tokens: Tensor, k: int, h: int, w: int) -> Tensor:
    """The inverse of `_split`."""
    parts = tokens.reshape(-1, k, k, h // k, w // k, tokens.shape[2])
    return parts.transpose(2, 3).reshape(-1, h, w, tokens.shape[2])


class ShiftedWindowTransformer(nn.Module):
    """``LN((F_0(x) + F_s(x)) / 2)``, ``F_s(x) = unroll(blocks(roll_s(conv(x)) + pos))``.

    ``roll_s`` shifts the grid of patches cyclically by -s rows and +s columns, before the position
    embedding is added; wrapped patches are not masked. Both passes share all weights. There is no
    class token. The shift should be no multiple of a window's width, or borders stay where they
    are.

    Args:
        width: D of a patch.
        heads: of each block.
        windows: windows per side of each layer, None for a global one, see `window_pattern`.
        patch: side of a patch in pixels; the convolution has this kernel and stride.
        grid: rows and columns of the position embedding; resized bilinearly to other grids, to
            smaller ones over the area of a patch, as jax does.
        shift: s, in patches; 0 for a single pass.
        channels: of the images.

    Raises:
        SettingError: settings out of range.

    Source: Kim et al. 2023, Detection-Oriented Image-Text Pretraining for Open-Vocabulary
    Detection (DITO), arXiv 2310.00161.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        windows: Sequence[int | None],
        *,
        patch: int = 16,
        grid: int = 14,
        shift: int = 8,
        channels: int = 3,
    ) -> None:
        super().__init__()
        if min(width, patch, grid, channels) < 1 or shift < 0:
            raise SettingError("width, patch, grid and channels must be positive, shift >= 0.")
        self.shift = shift
        self.patches = nn.Conv2d(channels, width, patch, stride=patch)
        self.position = nn.Parameter(torch.randn(grid, grid, width) * width**-0.5)
        self.blocks = nn.Sequential(*(WindowedBlock(width, heads, k) for k in windows))
        self.norm = nn.LayerNorm(width, eps=EPSILON)

    def forward(self, images: Tensor) -> Tensor:
        """Feature map ``(B, D, H / patch, W / patch)`` of images ``(B, C, H, W)``.

        Raises:
            DataError: images that are no whole number of patches, or grids that do not split into
                the windows.
        """
        side = self.patches.stride[0]
        if images.dim() != 4 or images.shape[2] % side or images.shape[3] % side:
            raise DataError(
                f"Images must be (B, C, H, W) of whole patches of {side}, got "
                f"{tuple(images.shape)}."
            )
        x = self.patches(images).permute(0, 2, 3, 1)
        passes = self._pass(x, 0)
        if self.shift:
            passes = (passes + self._pass(x, self.shift)) / 2
        features: Tensor = self.norm(passes).permute(0, 3, 1, 2)
        return features

    def _pass(self, x: Tensor, shift: int) -> Tensor:
        rolled = x.roll((-shift, shift), (1, 2)) + self._position(x.shape[1], x.shape[2])
        seen: Tensor = self.blocks(rolled)
        return seen.roll((shift, -shift), (1, 2))

    def _position(self, h: int, w: int) -> Tensor:
        if self.position.shape[:2] == (h, w):
            return self.position
        resized = interpolate(
            self.position.permute(2, 0, 1)[None],
            (h, w),
            mode="bilinear",
            align_corners=False,
            antialias=True,
        )
        return resized[0].permute(1, 2, 0)
