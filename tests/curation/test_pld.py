import math

import pytest
import torch

from counterpoint.curation.pld import sampling_probabilities
from counterpoint.errors import DataError, SettingError
from counterpoint.pairs.draws import draw_places


def scores(b=6, k=5):
    torch.manual_seed(0)
    return torch.randn(b, k, dtype=torch.float64), torch.randn(b, dtype=torch.float64)


def test_equals_a_loop():
    positive, negative = scores()
    found = sampling_probabilities(positive, negative, temperature=0.3)
    for row, (pool, j) in enumerate(zip(positive.tolist(), negative.tolist(), strict=True)):
        weights = [math.exp(-math.log1p(math.exp(j - i)) / 0.3) for i in pool]
        assert found[row].tolist() == pytest.approx([w / sum(weights) for w in weights])


def test_bce_needs_no_negative():
    positive, negative = scores()
    found = sampling_probabilities(positive, loss="bce")
    zero = sampling_probabilities(positive, torch.zeros_like(negative))
    torch.testing.assert_close(found, zero)


def test_odds_of_noisy_interactions_shrink_by_the_stated_factor():
    low, high = 0.2, 0.5
    pool = torch.tensor([[-math.log(math.expm1(x)) for x in (low, low, low, high, high)]])
    found = sampling_probabilities(pool.double(), torch.zeros(1).double(), temperature=0.1)
    noisy = found[0, 3:].sum().item()
    assert noisy / (1 - noisy) == pytest.approx(2 / 3 * math.exp(-(high - low) / 0.1), rel=1e-6)


def test_limits_of_the_temperature():
    positive, negative = scores()
    flat = sampling_probabilities(positive, negative, temperature=1e8)
    torch.testing.assert_close(flat, torch.full_like(flat, 0.2))
    sharp = sampling_probabilities(positive, negative, temperature=1e-6)
    assert torch.equal(sharp.argmax(1), positive.argmax(1))
    assert sharp.amax(1).min() > 0.999
    wide = sampling_probabilities(1e4 * positive, negative, temperature=0.01)
    assert torch.isfinite(wide).all()


def test_no_gradient_and_the_batch_axis_stays():
    positive, negative = scores(b=1)
    found = sampling_probabilities(positive.requires_grad_(), negative)
    assert not found.requires_grad
    assert draw_places(found).shape == (1,)


def test_half_precision_agrees():
    positive, negative = (x.bfloat16() for x in scores())
    found = sampling_probabilities(positive, negative)
    wanted = sampling_probabilities(positive.float(), negative.float())
    torch.testing.assert_close(found, wanted)


def test_bad_input_is_refused():
    positive, negative = scores()
    for bad in ((positive, negative[:2]), (positive[0], negative), (positive, None)):
        with pytest.raises(DataError):
            sampling_probabilities(*bad)
    with pytest.raises(DataError, match="NaN"):
        sampling_probabilities(positive * float("nan"), negative)
    with pytest.raises(SettingError, match="temperature"):
        sampling_probabilities(positive, negative, temperature=0.0)
    with pytest.raises(SettingError, match="loss"):
        sampling_probabilities(positive, negative, loss="hinge")
