"""Prompts that look at the image, and image features that look at the prompts."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, scaled_dot_product_attention

from counterpoint.errors import DataError, SettingError

Look = Literal["classes", "image"]
NARROW = 16


class ClassPrompts(nn.Module):
    """Context tokens of every class prompt, shifted by what the class sees in the image (CTP).

    ``ctx_m(b, c) = v_m + MLP(norm(sum_p softmax_p(<W_q T_c, W_k Z_p> / sqrt(d)) W_v Z_p))``: one
    head of attention, the fixed label feature ``T_c`` its query, the patches ``Z_p`` keys and
    values. With ``look="image"`` it is CoCoOp: ``v_m + MLP(g)``, the same shift for all classes.

    MLP: linear to ``d / 16``, ReLU, linear; its last layer begins at zero, so that prompts begin as
    the plain context. There are no positions: the order of patches does not matter.

    Args:
        width: d of the features of the image-text model.
        context: v at the start, ``(M, w)``: embeddings of the tokens of "a photo of a", say.
        look: ``"classes"`` or ``"image"``.

    Raises:
        SettingError: an unknown look.

    Source: Task-Oriented Multi-Modal Mutual Leaning for Vision-Language Models, ICCV 2023, arXiv
    2303.17169 (equations reconstructed from the abstract); CoCoOp: Zhou et al. 2022.
    """

    def __init__(self, width: int, context: Tensor, *, look: Look = "classes") -> None:
        super().__init__()
        if look not in get_args(Look):
            raise SettingError(f"look must be one of {', '.join(get_args(Look))}, not {look!r}.")
        self.look = look
        self.context = nn.Parameter(context.detach().clone())
        narrow = max(1, width // NARROW)
        last = nn.Linear(narrow, context.shape[1])
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.mlp = nn.Sequential(nn.Linear(width, narrow), nn.ReLU(), last)
        if look == "classes":
            self.attention = Attention(width)

    def shifts(self, classes: Tensor, image: Tensor, patches: Tensor) -> Tensor:
        """What is added to every token, ``(B, K, w)``; arguments as `forward`."""
        if self.look == "image":
            shift: Tensor = self.mlp(image)[:, None].expand(-1, len(classes), -1)
            return shift
        if patches.dim() != 3 or patches.shape[2] != classes.shape[1]:
            raise DataError(
                f"patches must be (B, P, {classes.shape[1]}), projected into the joint space as "
                f"the class token is; got {tuple(patches.shape)}."
            )
        seen = self.attention(classes.expand(len(patches), -1, -1), patches)
        seen_shift: Tensor = self.mlp(normalize(seen, dim=2))
        return seen_shift

    def forward(self, classes: Tensor, image: Tensor, patches: Tensor) -> Tensor:
        """Context tokens ``(B, K, M, w)``.

        Args:
            classes: unit text features of "a photo of a {c}" by the frozen model, ``(K, d)``; take
                those of other names to ask for other classes, any K.
            image: global features ``(B, d)``.
            patches: features of the patches ``(B, P, d)``.

        Raises:
            DataError: patches that do not fit.
        """
        return self.context + self.shifts(classes, image, patches)[:, :, None]


class TextGuidedFeatures(nn.Module):
    """Unit image features, moved towards the class texts of their image (TFT).

    ``norm(g + U_o sum_c softmax_c(<U_q g, U_k t_c> / sqrt(d)) U_v t_c)``. ``U_o`` begins at zero,
    so that features begin as those of the frozen model. All class texts are mixed in, also of the
    class an image prefers already; a small learning rate keeps that in check.

    Args:
        width: d.
        tokens: global feature and patches are all queries, and the mean of what they get counts.
        per_class: the class texts are queries, the patches keys and values: a feature of the image
            for every class.
        detach_texts: no gradient reaches the texts from here.

    Raises:
        SettingError: both ``tokens`` and ``per_class``.

    Source: as `ClassPrompts`.
    """

    def __init__(
        self,
        width: int,
        *,
        tokens: bool = False,
        per_class: bool = False,
        detach_texts: bool = False,
    ) -> None:
        super().__init__()
        if tokens and per_class:
            raise SettingError("Queries are tokens of the image or texts of classes, not both.")
        self.tokens, self.per_class, self.detach_texts = tokens, per_class, detach_texts
        self.attention = Attention(width)
        self.out = nn.Linear(width, width, bias=False)
        nn.init.zeros_(self.out.weight)

    def forward(self, image: Tensor, texts: Tensor, patches: Tensor | None = None) -> Tensor:
        """Features ``(B, d)``, with ``per_class`` ``(B, K, d)``.

        Args:
            image: global features g ``(B, d)``.
            texts: unit features of the prompts of each image ``(B, K, d)``.
            patches: ``(B, P, d)``, for ``tokens`` and ``per_class``.

        Raises:
            DataError: patches are needed and missing.
        """
        if self.detach_texts:
            texts = texts.detach()
        if not (self.tokens or self.per_class):
            return normalize(image + self.out(self.attention(image[:, None], texts)[:, 0]), dim=-1)
        if patches is None:
            raise DataError("These queries need patches=.")
        if self.per_class:
            return normalize(image[:, None] + self.out(self.attention(texts, patches)), dim=-1)
        queries = torch.cat([image[:, None], patches], 1)
        return normalize(image + self.out(self.attention(queries, texts).mean(1)), dim=-1)


class Attention(nn.Module):
    """One head of attention without biases: ``softmax(<W_q x, W_k y> / sqrt(d)) W_v y``.

    Args:
        width: d.

    Source: as `ClassPrompts`.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(width, width, bias=False) for _ in range(3))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """``(B, X, d)`` for queries ``(B, X, d)`` and what they look at, ``(B, Y, d)``."""
        return scaled_dot_product_attention(self.query(x), self.key(y), self.value(y))
