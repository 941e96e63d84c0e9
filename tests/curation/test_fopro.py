import math

import pytest
import torch

from counterpoint.curation.fopro import clean, densities, soft_targets
from counterpoint.errors import DataError, SettingError


def draw(b=40, c=4):
    torch.manual_seed(0)
    logits, proto, relation = (2 * torch.randn(b, c) for _ in range(3))
    return logits, proto, relation - 2, torch.randint(c, (b,)), torch.arange(b) % 7 == 0


def rule(level, q, s, y, few, gamma=0.6):
    """Label, kept and relabelled of one row, in the words of the rules."""
    c, q, s = len(q), q.tolist(), s.tolist()
    if few:
        return y, True, False
    if level == 0:
        return y, True, False
    if level == 1:
        if max(q) > gamma:
            return q.index(max(q)), True, True
        return y, q[y] > 1 / c, False
    if level == 2:
        if s[y] > gamma:
            return y, True, False
        return (s.index(max(s)), True, True) if max(s) > gamma else (y, False, False)
    if s[y] <= gamma and max(q) > gamma:
        return q.index(max(q)), True, True
    return y, q[y] > 1 / c or s[y] > gamma, False


@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_rules_row_by_row(level):
    logits, proto, relation, labels, few = draw()
    soft = soft_targets(logits, proto, labels, few)
    found = clean(soft, labels, few, level=level, relation=relation)
    for i in range(40):
        wanted = rule(level, soft[i], relation[i].sigmoid(), int(labels[i]), bool(few[i]))
        got = int(found.labels[i]), bool(found.kept[i]), bool(found.relabelled[i])
        assert got == wanted
        assert found.score[i] == soft[i, labels[i]]
    assert level == 0 or 0 < (~found.kept).sum() < 40


def test_soft_targets_mix_and_keep_few_shots_hard():
    logits, proto, _, labels, few = draw()
    soft = soft_targets(logits, proto, labels, few, alpha=0.3)
    mixed = 0.3 * logits.softmax(1) + 0.7 * proto.softmax(1)
    torch.testing.assert_close(soft[~few], mixed[~few])
    assert soft[few].argmax(1).tolist() == labels[few].tolist()
    assert soft[few].sum() == few.sum()
    alone = soft_targets(logits, proto, labels, few, alpha=1.0)
    torch.testing.assert_close(alone[~few], logits.softmax(1)[~few])
    torch.testing.assert_close(soft_targets(logits, None, labels, few), logits.softmax(1))


def test_densities_keep_and_bound():
    z = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    c = torch.tensor([[0.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
    found = densities(z, c, torch.tensor([0, 0, 2]), torch.full((3,), 0.1), temperature=0.2)
    raw = math.sqrt(2) / (2 * math.log(12))
    assert found.tolist() == pytest.approx([raw, 0.1, 0.2 / 3])


def test_bad_input_is_refused():
    logits, proto, relation, labels, few = draw()
    soft = soft_targets(logits, proto, labels, few)
    with pytest.raises(DataError, match="one class"):
        clean(soft[:, :1], labels * 0, few)
    with pytest.raises(DataError, match="needs relation"):
        clean(soft, labels, few, level=2)
    with pytest.raises(DataError, match="labels"):
        soft_targets(logits, proto, labels + 4, few)
    with pytest.raises(DataError, match="few_shot"):
        clean(soft, labels, few[:2], level=1)
    for settings in ({"level": 4}, {"gamma": 2.0}):
        with pytest.raises(SettingError):
            clean(soft, labels, few, relation=relation, **settings)
    with pytest.raises(SettingError, match="alpha"):
        soft_targets(logits, proto, labels, few, alpha=2.0)
