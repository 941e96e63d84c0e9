"""Two graph convolutions on a sparse matrix of weights."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from counterpoint.errors import DataError, SettingError

Activation = Literal["relu", "prelu"]


def plain_edges(edges: Tensor, nodes: int) -> Tensor:
    """Distinct edges without loops, int64 ``(2, E)``, sorted.

    Raises:
        DataError: not pairs of nodes 0 .. nodes - 1.
    """
    if edges.dim() != 2 or len(edges) != 2 or edges.is_floating_point():
        raise DataError(f"edges must be int64 (2, E), got {edges.dtype} {tuple(edges.shape)}.")
    if edges.numel() and not 0 <= int(edges.min()) <= int(edges.max()) < nodes:
        raise DataError(f"edges must join nodes 0..{nodes - 1}.")
    distinct: Tensor = torch.unique(edges[:, edges[0] != edges[1]], dim=1)
    return distinct


def convolution_weights(edges: Tensor, nodes: int, *, dtype: torch.dtype = torch.float32) -> Tensor:
    """``1 / sqrt((d_i + 1)(d_j + 1))`` from source j to target i, and of every node with itself.

    Args:
        edges: (source, target), int64 ``(2, E)``; repetition and loops do not count. d is the
            number of edges that end at a node. An undirected graph lists both directions.
        nodes: number N.
        dtype: of the answer.

    Returns:
        Sparse ``(N, N)``, row target, column source.

    Raises:
        DataError: not pairs of nodes 0 .. N - 1.

    Source: Kipf and Welling 2017, Semi-supervised Classification with Graph Convolutional Networks.
    """
    source, target = plain_edges(edges, nodes)
    inverse = (torch.bincount(target, minlength=nodes).to(dtype) + 1).rsqrt()
    loops = torch.arange(nodes, device=edges.device)
    row, column = torch.cat([target, loops]), torch.cat([source, loops])
    return torch.sparse_coo_tensor(
        torch.stack([row, column]),
        inverse[row] * inverse[column],
        (nodes, nodes),
        check_invariants=True,
    ).coalesce()


class TwoConvolutions(nn.Module):
    """``s(A s(A X W1 + b1) W2 + b2)``: the activation s follows both layers.

    Args:
        features: width F of X.
        hidden: units of the first layer; the papers take twice the outputs.
        outputs: width of the embedding.
        activation: ``"relu"``, or ``"prelu"`` with one learnable slope for both.

    Source: Kipf and Welling 2017; Wang et al. 2023, POT, arXiv 2309.13944.
    """

    def __init__(
        self, features: int, hidden: int, outputs: int, *, activation: Activation = "relu"
    ) -> None:
        super().__init__()
        if activation not in get_args(Activation):
            raise SettingError(
                f"activation must be one of {get_args(Activation)}, not {activation!r}."
            )
        self.first = nn.Linear(features, hidden)
        self.second = nn.Linear(hidden, outputs)
        self.activation: nn.Module = nn.ReLU() if activation == "relu" else nn.PReLU()

    @property
    def slope(self) -> float:
        """Slope of the activation below 0, as a number."""
        if not isinstance(self.activation, nn.PReLU):
            return 0.0
        return float(self.activation.weight.detach())

    def before(self, layer: nn.Linear, x: Tensor, weights: Tensor) -> Tensor:
        """``A x W + b``, what the activation of a layer is given."""
        mixed: Tensor = torch.sparse.mm(weights, x @ layer.weight.T)
        return mixed + layer.bias

    def hidden(self, x: Tensor, weights: Tensor) -> Tensor:
        """Output of the first layer ``(N, hidden)``."""
        out: Tensor = self.activation(self.before(self.first, x, weights))
        return out

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        """Embeddings ``(N, outputs)`` of features ``(N, F)`` and weights, sparse ``(N, N)``."""
        out: Tensor = self.activation(self.before(self.second, self.hidden(x, weights), weights))
        return out
