"""Losses of other libraries, each beside the objective that computes the same."""

from __future__ import annotations

import contextlib
import importlib.util
import io
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from counterpoint import objectives
from counterpoint.objectives import functional as F

TEMPERATURE = 0.2
Step = Callable[..., Tensor]


@dataclass(frozen=True)
class Pair:
    """Two ways to one number.

    Attributes:
        module: that must be installed.
        loss: its name there.
        objective: its name here.
        make: ``make(labels, width)`` gives their step and ours, of the same tensors.
        views: how many ``(N, D)`` tensors a step takes.
        share: rows of one of them, of N in all.
        double: whether theirs takes float64.
    """

    module: str
    loss: str
    objective: str
    make: Callable[[Tensor, int], tuple[Step, Step]]
    views: int = 2
    share: float = 1.0
    double: bool = True

    @property
    def installed(self) -> bool:
        return importlib.util.find_spec(self.module) is not None

    @property
    def name(self) -> str:
        return f"{self.module} {self.loss}"

    def draw(self, rows: int, width: int, dtype: torch.dtype = torch.float32) -> list[Tensor]:
        """What a step takes, of ``rows`` rows in all where views are compared with each other."""
        torch.manual_seed(0)
        shape = (int(rows * self.share), width)
        return [torch.randn(shape, dtype=dtype, requires_grad=True) for _ in range(self.views)]

    def steps(self, rows: int, width: int, classes: int) -> tuple[Step, Step]:
        """Their step and ours for inputs of that size."""
        return self.make(torch.arange(int(rows * self.share)) % classes, width)


def _lightly_nt_xent(labels: Tensor, width: int) -> tuple[Step, Step]:
    from lightly.loss import NTXentLoss

    return NTXentLoss(TEMPERATURE), lambda x, y: F.nt_xent(x, y, TEMPERATURE)


def _lightly_dcl(labels: Tensor, width: int) -> tuple[Step, Step]:
    from lightly.loss import DCLLoss

    return DCLLoss(TEMPERATURE), lambda x, y: F.dcl(x, y, TEMPERATURE)


def _lightly_dclw(labels: Tensor, width: int) -> tuple[Step, Step]:
    from lightly.loss import DCLWLoss

    theirs = DCLWLoss(TEMPERATURE, sigma=0.5)
    return theirs, lambda x, y: F.dclw(x, y, TEMPERATURE, sigma=0.5)


def _metric_nt_xent(labels: Tensor, width: int) -> tuple[Step, Step]:
    from pytorch_metric_learning.losses import NTXentLoss

    theirs, own = NTXentLoss(TEMPERATURE), torch.arange(len(labels)).repeat(2)
    return (
        lambda x, y: theirs(torch.cat([x, y]), own),
        lambda x, y: F.nt_xent(x, y, TEMPERATURE),
    )


def _metric_supcon(labels: Tensor, width: int) -> tuple[Step, Step]:
    from pytorch_metric_learning.losses import SupConLoss

    theirs = SupConLoss(TEMPERATURE)
    return lambda z: theirs(z, labels), lambda z: F.supcon(z, labels, TEMPERATURE)


def _metric_multi_similarity(labels: Tensor, width: int) -> tuple[Step, Step]:
    from pytorch_metric_learning.losses import MultiSimilarityLoss

    theirs = MultiSimilarityLoss(2, 50, 0.5)
    return (
        lambda z: theirs(z, labels),
        lambda z: F.multi_similarity(z, labels, alpha=2, beta=50, base=0.5),
    )


def _metric_proxy_anchor(labels: Tensor, width: int) -> tuple[Step, Step]:
    from pytorch_metric_learning.losses import ProxyAnchorLoss

    theirs = ProxyAnchorLoss(int(labels.max()) + 1, width, margin=0.1, alpha=32)
    proxies = theirs.proxies

    def step(z: Tensor) -> Tensor:
        proxies.data = proxies.data.to(z.dtype)
        return theirs(z, labels)

    return step, lambda z: F.proxy_anchor(z, labels, proxies, alpha=32, margin=0.1)


def _open_clip(labels: Tensor, width: int) -> tuple[Step, Step]:
    from open_clip.loss import ClipLoss

    theirs = ClipLoss()
    unit = nn.functional.normalize
    return (
        lambda x, y: theirs(unit(x, dim=-1), unit(y, dim=-1), 1 / TEMPERATURE),
        lambda x, y: F.clip(x, y, TEMPERATURE),
    )


def _multiple_negatives(labels: Tensor, width: int) -> tuple[Step, Step]:
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    theirs = MultipleNegativesRankingLoss(nn.Identity(), scale=1 / TEMPERATURE)
    return (
        lambda x, y: theirs.compute_loss_from_embeddings([x, y], labels),
        lambda x, y: F.mnr(x, y, TEMPERATURE, normalize=True),
    )


def _global_contrastive(labels: Tensor, width: int) -> tuple[Step, Step]:
    from libauc.losses import GCLoss

    samples = len(labels)
    with contextlib.redirect_stdout(io.StringIO()):
        theirs = GCLoss("unimodal", N=samples, tau=TEMPERATURE, gamma=0.9, device="cpu")
    ours = objectives.SogCLR(samples, TEMPERATURE, gamma=0.9, first_visit="batch")
    index = torch.arange(samples)
    return lambda x, y: theirs(x, y, index), lambda x, y: ours(x, y, index)


METRIC = "pytorch_metric_learning"
PAIRS = [
    Pair("lightly", "NTXentLoss", "nt_xent", _lightly_nt_xent, share=0.5),
    Pair("lightly", "DCLLoss", "dcl", _lightly_dcl, share=0.5),
    Pair("lightly", "DCLWLoss", "dclw", _lightly_dclw, share=0.5),
    Pair(METRIC, "NTXentLoss", "nt_xent", _metric_nt_xent, share=0.5),
    Pair(METRIC, "SupConLoss", "supcon", _metric_supcon, views=1),
    Pair(METRIC, "MultiSimilarityLoss", "multi_similarity", _metric_multi_similarity, views=1),
    Pair(METRIC, "ProxyAnchorLoss", "proxy_anchor", _metric_proxy_anchor, views=1),
    Pair("open_clip", "ClipLoss", "clip", _open_clip),
    Pair("sentence_transformers", "MultipleNegativesRankingLoss", "mnr", _multiple_negatives),
    Pair("libauc", "GCLoss", "sogclr", _global_contrastive, share=0.5, double=False),
]
