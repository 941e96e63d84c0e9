import pytest
import torch
from sklearn.linear_model import LogisticRegression

from counterpoint.data import load
from counterpoint.errors import DataError
from counterpoint.pairs.sinkhorn import transport_plan
from counterpoint.probes.opta import standardise, transported_prototypes


def accuracy(prototypes, queries, labels):
    model = LogisticRegression(C=1.0, max_iter=500).fit(prototypes, range(len(prototypes)))
    return float((model.predict(queries) == labels.numpy()).mean())


def test_one_shot_tasks_of_digits_gain():
    digits = load("digits").train
    x = standardise(digits.gather(range(len(digits))).flatten(1).double())
    generator = torch.Generator().manual_seed(0)
    gains = []
    for _ in range(25):
        support, queries = [], []
        for label in torch.randperm(10, generator=generator)[:5]:
            rows = (digits.labels == label).nonzero().flatten()
            rows = rows[torch.randperm(len(rows), generator=generator)[:16]]
            support.append(x[rows[:1]].mean(0))
            queries.append(x[rows[1:]])
        s, q = torch.stack(support), torch.cat(queries)
        labels = torch.arange(5).repeat_interleave(15)
        moved = transported_prototypes(s, q)
        gains.append(accuracy(moved, q, labels) - accuracy(s, q, labels))
    assert sum(gains) / 25 > 0.02


def test_a_transport_of_few_iterations_is_left_as_it_is():
    torch.manual_seed(0)
    s, q = torch.randn(3, 4).double(), torch.randn(9, 4).double()
    cost = (s[:, None] - q).square().sum(2)
    plan = transport_plan(cost / cost.max(), 0.05, iterations=2)
    moved = transported_prototypes(s, q, passes=1, iterations=2)
    torch.testing.assert_close(moved, plan / plan.sum(1, keepdim=True) @ q)
    assert not torch.allclose(moved, transported_prototypes(s, q, passes=1))
    first = transported_prototypes(s, q, passes=1, iterations=1)
    torch.testing.assert_close(transported_prototypes(s, q, passes=1, threshold=9.0), first)


def test_more_shots_keep_part_of_the_support():
    torch.manual_seed(0)
    s, q = torch.randn(3, 4), torch.randn(9, 4)
    once = transported_prototypes(s, q, passes=1)
    torch.testing.assert_close(transported_prototypes(s, q, shots=5), 0.7 * once + 0.3 * s)
    same = torch.ones(3, 4)
    assert torch.equal(transported_prototypes(same, torch.ones(5, 4)), same)
    assert torch.isfinite(standardise(same)).all()
    with pytest.raises(DataError, match="support"):
        transported_prototypes(s, q[:, :2])
