import math

import pytest
import torch
from torch.nn.functional import cross_entropy, normalize

from counterpoint.errors import DataError, SettingError
from counterpoint.objectives.captioning import captioning
from counterpoint.objectives.clip import clip
from counterpoint.objectives.cosmo import CosMo, cosmo, cosmo_contrastive


def draw(n=4, seed=0):
    torch.manual_seed(seed)
    sizes = (n, 5), (n, 4), (n, 6, 9), (3, 5), (3, 4)
    leaves = [torch.randn(size, dtype=torch.float64, requires_grad=True) for size in sizes]
    labels = torch.randint(0, 9, (n, 6))
    labels[0, 4:] = -100
    labels[:, 0] = -100
    return leaves, labels


def test_contrast_is_the_dense_formula():
    (image, text, _, w_image, w_text), _ = draw()
    theta = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    z_image, z_text = normalize(image @ w_image.T, dim=1), normalize(text @ w_text.T, dim=1)
    s, own = theta.exp() * z_text @ z_image.T, torch.arange(4)
    wanted = (cross_entropy(s, own) + cross_entropy(s.T, own)) / 2
    found = cosmo_contrastive(image, text, theta, image_head=w_image, text_head=w_text)
    torch.testing.assert_close(found, wanted)
    leaves = [image, text, w_image, w_text, theta]
    grads = [torch.autograd.grad(value, leaves) for value in (found, wanted)]
    torch.testing.assert_close(*grads)
    each = cosmo_contrastive(
        image, text, theta, image_head=w_image, text_head=w_text, reduction="none"
    )
    torch.testing.assert_close(each.mean(), wanted)


@pytest.mark.parametrize("interleaved", [False, True])
def test_total_is_both_losses(interleaved):
    (image, text, logits, w_image, w_text), labels = draw()
    heads = {"image_head": w_image, "text_head": w_text}
    language = cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
    contrast = cosmo_contrastive(image, text, 0.4, **heads)
    settings = {"contrastive_weight": 3.0, "data_weight": 2.0}
    loss = cosmo(image, text, logits, labels, 0.4, interleaved=interleaved, **settings, **heads)
    torch.testing.assert_close(loss, 2 * (language + (0 if interleaved else 3) * contrast))
    module = CosMo(0.4, **settings)
    torch.testing.assert_close(
        module(image, text, logits, labels, interleaved=interleaved, **heads), loss
    )


def test_gradient_numerically():
    (*leaves, w_image, w_text), labels = draw()
    theta = torch.tensor(0.2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda x, y, s, t, v, w: cosmo(x, y, s, labels, t, image_head=v, text_head=w),
        [*leaves, theta, w_image, w_text],
    )


def test_the_scale_is_an_exponential():
    x, y = torch.randn(2, 6, 4, dtype=torch.float64)
    torch.testing.assert_close(cosmo_contrastive(x, y, math.log(10)), clip(x, y, 0.1))
    flat = cosmo_contrastive(x, x, 0.2).item()
    assert flat > math.log(6) - 2 * math.exp(0.2)
    assert cosmo_contrastive(x[:1], y[:1]).abs() < 1e-12
    scale = torch.nn.Parameter(torch.tensor(0.2))
    assert [name for name, _ in CosMo(scale).named_parameters()] == ["log_scale"]


def test_repeated_labels_have_no_contrast():
    (image, text, logits, w_image, w_text), labels = draw()
    heads = {"image_head": w_image, "text_head": w_text}
    few = labels % 2
    assert len(few.unique()) < 4
    torch.testing.assert_close(
        cosmo(image, text, logits, few, **heads), captioning(logits, few, ignore_index=-100)
    )
    twice = labels[[0, 1, 2, 2]]
    language = captioning(logits, twice, ignore_index=-100)
    assert cosmo(image, text, logits, twice, **heads) > language + 0.1
    rows = cosmo(image, text, logits, twice, different="rows", **heads)
    torch.testing.assert_close(rows, language)


def test_nothing_to_predict():
    (image, text, logits, w_image, w_text), labels = draw()
    heads = {"image_head": w_image, "text_head": w_text}
    masked = torch.full_like(labels, -100)
    loss = cosmo(image, text, logits, masked, interleaved=True, **heads)
    assert loss == 0
    assert torch.autograd.grad(loss, logits)[0].abs().max() == 0


def test_bad_inputs_are_refused():
    (image, text, logits, w_image, _), labels = draw()
    with pytest.raises(DataError, match="width"):
        cosmo(image, text, logits, labels, image_head=w_image)
    with pytest.raises(DataError, match="rows"):
        cosmo(image[:3], text, logits, labels)
    with pytest.raises(SettingError, match="temperature"):
        cosmo_contrastive(text, text, -math.inf)
    with pytest.raises(SettingError, match="different"):
        cosmo(text, text, logits, labels, different="tokens")
