import pytest
import torch

from counterpoint.errors import DataError, SettingError
from counterpoint.objectives.captioning import Captioning, captioning
from counterpoint.objectives.clip import clip
from counterpoint.objectives.coca import CoCa, coca, coca_parts


def draw(n=4, tokens=5, vocabulary=6, seed=0):
    torch.manual_seed(seed)
    sizes = (n, 3), (n, 3), (n, tokens, vocabulary)
    leaves = [torch.randn(size, dtype=torch.float64, requires_grad=True) for size in sizes]
    labels = torch.randint(1, vocabulary, (n, tokens))
    labels[0, 3:] = 0
    labels[-1, 2] = 0
    return leaves, labels


def token_losses(logits, labels, shifted, pad):
    """One list of token losses a caption."""
    found = []
    for row, line in zip(logits, labels, strict=True):
        pairs = zip(row, line, strict=True) if shifted else zip(row[:-1], line[1:], strict=True)
        found.append([x.logsumexp(0) - x[y] for x, y in pairs if y != pad])
    return found


@pytest.mark.parametrize("shifted", [True, False])
@pytest.mark.parametrize("pad", [0, -100])
def test_captioning_is_a_loop(shifted, pad):
    (_, _, logits), labels = draw()
    labels = labels.where(labels != 0, pad)
    rows = token_losses(logits, labels, shifted, pad)
    settings = {"shifted": shifted, "ignore_index": pad}
    loss = captioning(logits, labels, **settings)
    torch.testing.assert_close(loss, torch.stack([x for row in rows for x in row]).mean())
    torch.testing.assert_close(Captioning(**settings)(logits, labels), loss)
    torch.testing.assert_close(
        captioning(logits, labels, per="caption", **settings), sum(map(sum, rows)) / len(rows)
    )


@pytest.mark.parametrize("variant", ["released", "paper"])
def test_total_is_both_losses(variant):
    (image, text, logits), labels = draw()
    rows = token_losses(logits, labels, False, 0)
    contrast = clip(image, text, 0.2)
    if variant == "paper":
        wanted = 0.5 * 2 * contrast + 3 * sum(map(sum, rows)) / 4
    else:
        wanted = 0.5 * contrast + 3 * torch.stack([x for row in rows for x in row]).mean()
    settings = {"contrastive_weight": 0.5, "caption_weight": 3.0, "variant": variant}
    loss = coca(image, text, logits, labels, 0.2, **settings)
    torch.testing.assert_close(loss, wanted)
    torch.testing.assert_close(CoCa(0.2, **settings)(image, text, logits, labels), loss)


def test_gradient_numerically():
    leaves, labels = draw()
    temperature = torch.tensor(0.2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda x, y, s, t: coca(x, y, s, labels, t), [*leaves, temperature]
    )
    (x, y, hidden), _ = draw(vocabulary=3)
    head = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda h, w: coca(x, y, h, labels, head=w), [hidden, head])
    torch.testing.assert_close(
        coca(x, y, hidden, labels, head=head), coca(x, y, hidden @ head.T, labels)
    )


def test_the_shift_is_made_once():
    (image, text, logits), labels = draw()
    torch.testing.assert_close(
        coca(image, text, logits, labels),
        coca(image, text, logits[:, :-1], labels[:, 1:], shifted=True),
    )


def test_padding_counts_for_nothing():
    (image, text, logits), labels = draw()
    longer = torch.nn.functional.pad(labels, (0, 2))
    more = torch.cat([logits, torch.randn(4, 2, 6, dtype=torch.float64)], 1)
    torch.testing.assert_close(coca(image, text, more, longer), coca(image, text, logits, labels))
    part = coca_parts(image, text, logits, torch.zeros_like(labels))
    assert part.caption == 0
    assert torch.autograd.grad(part.caption, logits)[0].abs().max() == 0


def test_one_pair_has_no_contrast():
    leaves, labels = draw(1)
    part = coca_parts(*leaves, labels)
    assert part.contrastive.abs() < 1e-12
    assert torch.autograd.grad(part.contrastive, leaves[0])[0].abs().max() < 1e-12


def test_bad_inputs_are_refused():
    (image, text, logits), labels = draw()
    with pytest.raises(DataError, match="rows"):
        coca(image, text, logits[:2], labels[:2])
    with pytest.raises(DataError, match="labels must be in"):
        coca(image, text, logits, labels + 9)
    spoilt = logits.detach().clone()
    spoilt[2, 1] = torch.nan
    with pytest.raises(DataError, match="row 2"):
        coca(image, text, spoilt, labels)
    with pytest.raises(SettingError, match="variant"):
        coca(image, text, logits, labels, variant="both")
    with pytest.raises(SettingError, match="per"):
        captioning(logits, labels, per="word")
