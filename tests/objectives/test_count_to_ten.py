import math

import pytest
import torch
from torch.nn.functional import cosine_similarity, softplus

from counterpoint.errors import DataError, SettingError
from counterpoint.objectives.count_to_ten import CountToTen, count_to_ten, count_weights


def draw(n=5, wrong=None, seed=0):
    torch.manual_seed(seed)
    shapes = (n, 4), (n, 4), (n, 4) if wrong is None else (n, wrong, 4)
    return [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]


@pytest.mark.parametrize("wrong", [None, 1, 8])
@pytest.mark.parametrize("temperature", [1.0, 0.07])
def test_loss_is_a_loop(wrong, temperature):
    image, caption, other = draw(wrong=wrong)
    losses = []
    for i, t, cfs in zip(image, caption, other.view(5, -1, 4), strict=True):
        true = (cosine_similarity(i, t, 0) / temperature).exp()
        false = sum((cosine_similarity(i, cf, 0) / temperature).exp() for cf in cfs)
        losses.append(-(true / (true + false)).log())
    wanted = torch.stack(losses)
    each = count_to_ten(image, caption, other, temperature, reduction="none")
    torch.testing.assert_close(each, wanted)
    torch.testing.assert_close(
        count_to_ten(image, caption, other, temperature, reduction="sum"), wanted.sum()
    )
    loss = count_to_ten(image, caption, other, temperature)
    torch.testing.assert_close(loss, wanted.mean())
    torch.testing.assert_close(CountToTen(temperature)(image, caption, other), loss)
    weights = torch.arange(5.0)
    torch.testing.assert_close(
        count_to_ten(image, caption, other, temperature, weights=weights),
        (weights.double() * wanted).mean(),
    )


@pytest.mark.parametrize("wrong", [None, 3])
def test_gradient_numerically(wrong):
    temperature = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(count_to_ten, [*draw(wrong=wrong), temperature])


def test_identities_and_bounds():
    image, caption, other = draw()
    gap = cosine_similarity(image, other) - cosine_similarity(image, caption)
    torch.testing.assert_close(count_to_ten(image, caption, other, reduction="none"), softplus(gap))
    assert count_to_ten(image, caption, caption).item() == pytest.approx(math.log(2))
    best, worst = count_to_ten(image, image, -image), count_to_ten(image, -image, image)
    assert best.item() == pytest.approx(math.log1p(math.exp(-2)))
    assert worst.item() == pytest.approx(math.log1p(math.exp(2)))
    torch.testing.assert_close(
        count_to_ten(9 * image, caption / 7, 3 * other), count_to_ten(image, caption, other)
    )
    assert count_to_ten(0 * image, caption, other).item() == pytest.approx(math.log(2))


def test_without_counting_pairs():
    leaves = [torch.zeros(0, 4, requires_grad=True) for _ in range(3)]
    for reduction in ("mean", "sum"):
        loss = count_to_ten(*leaves, reduction=reduction)
        assert loss.item() == 0
        loss.backward()
    assert count_to_ten(*leaves, reduction="none").shape == (0,)


def test_weights_of_rare_numbers():
    occurrences = torch.tensor([0, 0, 6, 3, 1])
    counts = torch.tensor([2, 4, 3])
    torch.testing.assert_close(count_weights(counts, occurrences), torch.tensor([0.4, 0.9, 0.7]))
    torch.testing.assert_close(
        count_weights(counts, occurrences, "most_frequent"), torch.tensor([1.0, 6.0, 2.0])
    )
    for unseen in (1, 5, -1):
        with pytest.raises(DataError, match="nowhere"):
            count_weights(torch.tensor([2, unseen]), occurrences)
    with pytest.raises(SettingError, match="balance"):
        count_weights(counts, occurrences, "log")


def test_bad_inputs_are_refused():
    image, caption, other = draw()
    with pytest.raises(DataError, match="rows"):
        count_to_ten(image, caption[:3], other)
    with pytest.raises(DataError, match="width"):
        count_to_ten(image, caption, other[:, :3])
    spoilt = caption.detach().clone()
    spoilt[3, 1] = torch.nan
    with pytest.raises(DataError, match="row 3"):
        count_to_ten(image, spoilt, other)
    with pytest.raises(DataError, match="weights"):
        count_to_ten(image, caption, other, weights=-torch.ones(5))
    with pytest.raises(SettingError, match="temperature"):
        count_to_ten(image, caption, other, 0.0)
    with pytest.raises(SettingError, match="reduction"):
        count_to_ten(image, caption, other, reduction="median")
