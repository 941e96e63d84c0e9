"""Fine-tuning: the last layers of a text encoder learn the classes, within a given time.

Source: Shu, "Pre-trained Language Models as Re-Annotators", arXiv 2205.05368 (2022); a
reconstruction, since only the abstract could be read.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, normalize

from counterpoint.encoders.base import Encoder
from counterpoint.errors import SettingError
from counterpoint.objectives.distant_peer import distant_peer
from counterpoint.probes.inputs import Floats, Ints
from counterpoint.probes.scaling import unit_length

SORTED_BATCHES = 16
WARM_UP = 0.1
LARGEST_GRADIENT = 1.0
DROPOUT = 0.1
CONTRAST_TEMPERATURE = 0.1
JUDGED_AT_ONCE = 128

OnStep = Callable[[float, float], None]
"""Told the share of the training that is done, and the loss."""


@dataclass(frozen=True)
class Lesson:
    """What a network learns from.

    Attributes:
        texts: N texts.
        targets: ``(N, C)``, rows on the simplex.
        base: frozen embeddings ``(N, D)``; they tell how distant two peers are.
        labels: given labels ``(N,)``.
        credibility: ``(N,)`` in [0, 1]; decides who may be anchor and peer.
    """

    texts: Sequence[str]
    targets: Floats
    base: Floats
    labels: Ints
    credibility: Floats


@dataclass(frozen=True)
class FineTuning:
    """Trains the last layers of an encoder and a linear head on its centred, unit rows.

    The loss is the cross entropy with soft targets plus ``beta`` times `distant_peer` of the
    representations. Batches hold texts of similar length. The learning rates rise for a tenth of
    the training and then fall to 0 along a half cosine; how far it is, is the larger of the share
    of the steps and the share of the time, so that a training that runs out of time has come to
    rest.

    Args:
        layers: transformer layers that learn, from the last; all others stay as they are.
        epochs: most passes over the rows.
        batch: rows a step.
        learning_rate, head_learning_rate, weight_decay: of AdamW.
        soft: whether targets are softened by a frozen judge of the rows that are learnt from.
        beta: weight of the distant-peer loss; 0 leaves it out.
        peers: distant peers of an anchor.
    """

    layers: int = 6
    epochs: int = 4
    batch: int = 32
    learning_rate: float = 2e-4
    head_learning_rate: float = 1e-3
    weight_decay: float = 0.01
    soft: bool = True
    beta: float = 0.0
    peers: int = 2

    def __post_init__(self) -> None:
        whole = (self.layers, self.epochs, self.batch, self.peers)
        rates = (self.learning_rate, self.head_learning_rate)
        if min(whole) < 1 or min(rates) <= 0 or min(self.weight_decay, self.beta) < 0:
            raise SettingError(
                "FineTuning needs layers, epochs, batch and peers of at least 1, learning rates "
                f"above 0, weight_decay and beta of at least 0; got {self}."
            )

    def fit(
        self,
        network: Encoder,
        lesson: Lesson,
        *,
        epochs: float,
        seconds: float = math.inf,
        reduced: bool = False,
        seed: int = 0,
        on_step: OnStep | None = None,
    ) -> Tuned:
        """Trains ``network`` in place.

        Args:
            network: a text encoder, not yet trained on these rows.
            lesson: what it learns from.
            epochs: passes over the rows, above 0; less than one is allowed.
            seconds: it ends after so long, wherever it is.
            reduced: multiply in bfloat16.
            seed: seed of the order and of dropout.
            on_step: told how far it is.
        """
        start = time.monotonic()
        _train_last(network, self.layers)
        steps = max(1, round(epochs * len(lesson.texts) / self.batch))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            mean = unit_length(lesson.base).mean(axis=0)
            tuned = Tuned(network, mean, lesson.targets.shape[1], reduced).train()
            optimiser = self._optimiser(tuned)
            for step, rows in enumerate(_batches(lesson.texts, self.batch, seed)):
                passed = (time.monotonic() - start) / seconds
                done = max((step + 0.5) / steps, passed)
                if done >= 1:
                    break
                for group in optimiser.param_groups:
                    group["lr"] = group["peak"] * _rise_and_fall(done)
                loss = self._loss(tuned, lesson, rows)
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(network.parameters(), LARGEST_GRADIENT)
                optimiser.step()
                if on_step is not None:
                    on_step(min(max((step + 1) / steps, passed), 1.0), float(loss.detach()))
        return tuned.eval()

    def _optimiser(self, tuned: Tuned) -> torch.optim.Optimizer:
        body = [p for p in tuned.network.parameters() if p.requires_grad]
        groups = [
            {"params": body, "peak": self.learning_rate},
            {"params": list(tuned.head.parameters()), "peak": self.head_learning_rate},
        ]
        return torch.optim.AdamW(groups, weight_decay=self.weight_decay, fused=True)

    def _loss(self, tuned: Tuned, lesson: Lesson, rows: Ints) -> Tensor:
        h = tuned.features([lesson.texts[row] for row in rows])
        logits = tuned.head(dropout(h, DROPOUT))
        targets = torch.from_numpy(lesson.targets[rows]).float()
        loss: Tensor = -(targets * logits.log_softmax(-1)).sum(-1).mean()
        if self.beta:
            base, labels, trust = (
                torch.from_numpy(np.ascontiguousarray(a[rows]))
                for a in (lesson.base, lesson.labels, lesson.credibility)
            )
            loss = loss + self.beta * distant_peer(
                h, labels, CONTRAST_TEMPERATURE, base=base, credibility=trust, peers=self.peers
            )
        return loss


class Tuned(nn.Module):
    """An encoder with a linear head on ``sqrt(D) u``, u its unit rows centred and made unit again.

    Args:
        network: the encoder.
        mean: what all unit rows share ``(D,)``.
        classes: C.
        reduced: encode in bfloat16.
    """

    mean: Tensor

    def __init__(self, network: Encoder, mean: Floats, classes: int, reduced: bool) -> None:
        super().__init__()
        self.network = network
        self.reduced = reduced
        self.register_buffer("mean", torch.from_numpy(np.asarray(mean)).float())
        self.head = nn.Linear(network.width, classes)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def features(self, texts: Sequence[str]) -> Tensor:
        """What the head sees, ``(B, D)``."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self.reduced):
            h = self.network(self.network.prepare(texts))
        centred = normalize(h.float(), dim=1) - self.mean
        spread: Tensor = normalize(centred, dim=1) * self.network.width**0.5
        return spread

    @torch.no_grad()
    def probabilities(self, texts: Sequence[str]) -> Floats:
        """Class probabilities ``(M, C)``."""
        out = np.empty((len(texts), self.head.out_features))
        order = np.argsort([len(text) for text in texts], kind="stable")
        for at in range(0, len(order), JUDGED_AT_ONCE):
            rows = order[at : at + JUDGED_AT_ONCE]
            logits = self.head(self.features([texts[row] for row in rows]))
            out[rows] = logits.double().softmax(-1).numpy()
        return out


def seconds_a_row(
    tuning: FineTuning, network: Encoder, lesson: Lesson, reduced: bool, steps: int = 8
) -> float:
    """Measured time of one training step, divided by its rows; the first steps are not counted.

    ``network`` is trained a little by it and must not be used afterwards.
    """
    ends = [time.monotonic()]
    tuning.fit(
        network,
        lesson,
        epochs=steps * tuning.batch / len(lesson.texts),
        reduced=reduced,
        on_step=lambda done, loss: ends.append(time.monotonic()),
    )
    lasted = np.diff(ends)
    return float(lasted[len(lasted) // 4 :].mean()) / min(tuning.batch, len(lesson.texts))


def _train_last(network: Encoder, layers: int) -> None:
    """Only the last ``layers`` of the longest stack of layers learn; all, where there is none."""
    stacks = [list(part) for part in network.modules() if isinstance(part, nn.ModuleList)]
    if stacks:
        network.requires_grad_(False)
        for layer in max(stacks, key=len)[-layers:]:
            layer.requires_grad_(True)


def _batches(texts: Sequence[str], size: int, seed: int) -> Iterator[Ints]:
    """Batches without end, each epoch in another order, each of texts of similar length."""
    rng = np.random.default_rng(seed)
    length = np.array([len(text) for text in texts])
    while True:
        order = rng.permutation(len(texts))
        batches: list[Ints] = []
        for at in range(0, len(order), size * SORTED_BATCHES):
            part = order[at : at + size * SORTED_BATCHES]
            part = part[np.argsort(length[part], kind="stable")]
            batches += [part[start : start + size] for start in range(0, len(part), size)]
        yield from (batches[at] for at in rng.permutation(len(batches)))


def _rise_and_fall(done: float) -> float:
    if done < WARM_UP:
        return done / WARM_UP
    return (1 + math.cos(math.pi * (done - WARM_UP) / (1 - WARM_UP))) / 2
