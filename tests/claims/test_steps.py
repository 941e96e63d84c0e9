import torch
from torch import Tensor

from counterpoint import data
from counterpoint.claims._steps import build, held_out, score, train
from counterpoint.data.batch import Batch
from counterpoint.methods.base import Codes
from counterpoint.probes import KNN


def test_runs_of_one_seed_see_equal_weights_samples_and_views_whatever_the_loss() -> None:
    digits = data.load("digits", seed=0)
    seen: list[list[tuple[Tensor, Tensor]]] = [[], []]
    for into, weight in zip(seen, (0.0, 1.0), strict=True):
        method = build("simclr", 3)

        def loss(codes: Codes, batch: Batch, into=into, weight=weight) -> Tensor:
            into.append((torch.cat(batch.views), codes["z1"].detach()))
            return weight * codes["z1"].square().mean()

        train(method, digits, loss, steps=2, batch=16, lr=0.1, seed=3)
    (views, codes), (views_again, codes_again) = (zip(*each, strict=True) for each in seen)
    assert torch.equal(torch.stack(views), torch.stack(views_again))
    assert torch.equal(codes[0], codes_again[0])
    assert not torch.equal(codes[1], codes_again[1])


def test_without_a_loss_the_method_has_its_own() -> None:
    digits = data.load("digits", seed=0)
    own, given = build("simclr", 0), build("simclr", 0)
    train(own, digits, None, steps=2, batch=16, lr=1e-3, seed=0)
    train(given, digits, lambda c, b: given.contrast(c, b)["loss"], 2, 16, 1e-3, 0)
    for a, b in zip(own.parameters(), given.parameters(), strict=True):
        assert torch.equal(a, b)
    before = build("simclr", 0)
    assert not torch.equal(next(own.parameters()), next(before.parameters()))


def test_score_is_that_of_the_probe_on_held_out_samples() -> None:
    digits = data.load("digits", seed=0)
    labels = [split.labels for split in (digits.train, digits.test)]
    pixels = [split.gather(range(len(split))).flatten(1) for split in (digits.train, digits.test)]
    expected = KNN().score(pixels[0], labels[0], pixels[1], labels[1])
    assert score(torch.nn.Flatten(), digits, KNN()) == expected


def test_held_out_views_are_fresh_for_every_seed() -> None:
    digits = data.load("digits", seed=0)
    method = build("simclr", 0)
    first, again, other = (held_out(method, digits, seed) for seed in (0, 0, 1))
    assert len(first) == len(digits.test)
    assert torch.equal(first.views[0], again.views[0])
    assert not torch.equal(first.views[0], other.views[0])
    assert not torch.equal(first.views[0], first.views[1])
