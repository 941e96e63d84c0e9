import math

import pytest
import torch
from torch.nn.functional import normalize

from counterpoint.training.monitor import Monitor, measure


def noise(rows=64, width=32, seed=0):
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed))


def test_good_codes_give_no_warning():
    z = noise()
    codes = {"z1": z, "z2": z + 0.3 * noise(seed=1)}
    monitor = Monitor(temperature=0.1)
    assert monitor.look(codes, step=10, progress=0.5) == []
    assert monitor.figures["guessing"] < 0.2
    assert monitor.figures["spread"] > 0.9
    assert 10 < monitor.figures["effective_rank"] <= 32


def test_unrelated_views_are_guessing_but_only_after_a_while():
    codes = {"z1": noise() * 0.01 + 1, "z2": noise(seed=1) * 0.01 + 1}
    codes = {key: value * 1.0 for key, value in codes.items()}
    monitor = Monitor(temperature=1.0)
    assert not any("nothing is learnt" in text for text in monitor.look(codes, 1, 0.05))
    found = monitor.look(codes, 50, 0.5)
    assert any("nothing is learnt" in text and "ln 64 = 4.16" in text for text in found)


def test_collapse_to_a_point_is_said_once():
    codes = {"z1": 1 + 1e-3 * noise(), "z2": 1 + 1e-3 * noise(seed=1)}
    monitor = Monitor()
    found = monitor.look(codes, 7, 0.1)
    assert len(found) == 1
    assert "At step 7 the space has collapsed" in found[0]
    assert monitor.look(codes, 8, 0.1) == []
    assert monitor.warnings == found


def test_collapse_to_a_line():
    line = noise(width=1) @ noise(rows=1) + 1e-4 * noise()
    found = Monitor(0.5).look({"z1": line, "z2": line}, 3, 0.1)
    assert any("dimensions" in text for text in found)


def test_falling_rank():
    monitor = Monitor(0.5)
    wide = noise(256, 128)
    assert monitor.look({"z1": wide}, 1, 0.1) == []
    flat = torch.cat([noise(256, 4), torch.zeros(256, 124)], dim=1)
    (text,) = monitor.look({"z1": flat}, 2, 0.2)
    assert "highest so far" in text


def test_too_cold_a_temperature():
    z = noise()
    (text,) = Monitor(0.005).look({"z1": z, "z2": z}, 3, 0.1)
    assert "of 63 negatives" in text


def test_effective_negatives_by_hand():
    z1 = torch.eye(3)
    z2 = normalize(torch.tensor([[1.0, 0, 0], [0.5, 1, 0], [0.2, 0.1, 1]]), dim=1)
    s = (z1 @ z2.T) / 0.2
    expected = 0.0
    for i in range(3):
        p = torch.stack([s[i, j] for j in range(3) if j != i]).softmax(0)
        expected += math.exp(-float((p * p.log()).sum())) / 3
    figures = measure(z1, z2, 0.2)
    assert figures["effective_negatives"] == pytest.approx(expected, rel=1e-5)
    loss = torch.nn.functional.cross_entropy(s, torch.arange(3))
    assert figures["guessing"] == pytest.approx(float(loss) / math.log(3), rel=1e-5)


def test_codes_that_are_no_embeddings_are_left_alone():
    assert Monitor().look({"labels": torch.arange(4), "map": torch.rand(2, 3, 4)}, 0, 1) == []
