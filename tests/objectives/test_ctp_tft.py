"""CTP and TFT: the exact properties of the specification, with a small frozen text encoder."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, normalize

from counterpoint.encoders.class_prompts import ClassPrompts, TextGuidedFeatures
from counterpoint.errors import DataError, SettingError
from counterpoint.objectives import CTPTFT
from counterpoint.objectives.ctp_tft import ctp_tft, image_class_logits

B, K, P, M, D, W = 3, 4, 5, 2, 8, 6


class World:
    """Features of images, names of classes, and a frozen text encoder that mixes its tokens."""

    def __init__(self, classes=K):
        torch.manual_seed(0)
        self.image, self.patches = torch.randn(B, D), torch.randn(B, P, D)
        self.names = torch.randn(classes, W)
        self.context = torch.randn(M, W)
        self.weights = torch.randn((M + 1) * W, D)
        plain = self.context.expand(1, classes, M, W)
        self.classes = self.encode(plain)[0]
        self.labels = torch.arange(B) % classes

    def encode(self, context):
        names = self.names[None, :, None].expand(len(context), -1, 1, -1)
        tokens = torch.cat([context, names], 2).flatten(2)
        return normalize((tokens @ self.weights).tanh(), dim=2)

    def logits(self, prompts, tuned=None, patches=None):
        patches = self.patches if patches is None else patches
        texts = self.encode(prompts(self.classes, self.image, patches))
        image = self.image if tuned is None else tuned(self.image, texts, patches)
        return image_class_logits(image, texts)


def trained(module):
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(0.5 * torch.randn_like(parameter))
    return module


VARIANTS = [{}, {"tokens": True}, {"per_class": True}, {"detach_texts": True}]


@pytest.mark.parametrize("look", ["classes", "image"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_begins_as_the_frozen_model_with_the_initial_context(look, variant):
    world = World()
    prompts = ClassPrompts(D, world.context, look=look)
    tuned = TextGuidedFeatures(D, **variant)
    plain = 100 * normalize(world.image, dim=1) @ world.classes.T
    torch.testing.assert_close(world.logits(prompts, tuned), plain)


def test_the_shift_is_one_for_all_classes_only_when_it_looks_at_the_image():
    world = World()
    for look in ("image", "classes"):
        prompts = trained(ClassPrompts(D, world.context, look=look))
        shift = prompts.shifts(world.classes, world.image, world.patches)
        spread = shift.var(1).max().item()
        assert (spread == 0) == (look == "image")


def test_the_shift_is_a_loop():
    world = World()
    prompts = trained(ClassPrompts(D, world.context))
    context = prompts(world.classes, world.image, world.patches)
    q, k, v = (getattr(prompts.attention, name).weight for name in ("query", "key", "value"))
    for b in range(B):
        for c in range(K):
            z = world.patches[b]
            share = torch.stack([(q @ world.classes[c]) @ (k @ p) / D**0.5 for p in z]).softmax(0)
            seen = sum(w * (v @ p) for w, p in zip(share, z, strict=True))
            shift = prompts.mlp(normalize(seen, dim=0))
            torch.testing.assert_close(context[b, c], prompts.context + shift)


@pytest.mark.parametrize("variant", VARIANTS)
def test_permuting_classes_permutes_logits_and_patches_have_no_order(variant):
    world, other = World(), World()
    prompts = trained(ClassPrompts(D, world.context))
    tuned = trained(TextGuidedFeatures(D, **variant))
    logits = world.logits(prompts, tuned)
    order = torch.tensor([2, 0, 3, 1])
    other.names, other.classes = world.names[order], world.classes[order]
    torch.testing.assert_close(other.logits(prompts, tuned), logits[:, order])
    turned = world.patches[:, torch.tensor([4, 2, 0, 1, 3])]
    torch.testing.assert_close(world.logits(prompts, tuned, turned), logits)
    assert world.logits(prompts, tuned, world.patches.roll(1, 0)).sub(logits).abs().max() > 1e-3


def test_the_first_step_moves_only_what_does_not_begin_at_zero():
    world = World()
    prompts, tuned = ClassPrompts(D, world.context), TextGuidedFeatures(D)
    both = nn.ModuleDict({"ctp": prompts, "tft": tuned})

    def moved():
        both.zero_grad()
        cross_entropy(world.logits(prompts, tuned), world.labels).backward()
        return {name for name, p in both.named_parameters() if p.grad.abs().max() > 0}

    assert moved() == {"ctp.context", "ctp.mlp.2.weight", "ctp.mlp.2.bias", "tft.out.weight"}
    with torch.no_grad():
        for name, parameter in both.named_parameters():
            if name in ("ctp.mlp.2.weight", "tft.out.weight"):
                parameter.add_(0.1 * torch.randn_like(parameter))
    assert moved() == {name for name, _ in both.named_parameters()}


def test_detached_texts_get_no_gradient_from_the_image_side():
    image, patches = torch.randn(B, D), torch.randn(B, P, D)
    for detach in (False, True):
        texts = torch.randn(B, K, D, requires_grad=True)
        tuned = trained(TextGuidedFeatures(D, detach_texts=detach))
        tuned(image, texts, patches).sum().backward()
        assert (texts.grad is None) == detach


def test_another_list_of_classes_needs_no_training():
    world, wider = World(), World(classes=7)
    prompts, tuned = trained(ClassPrompts(D, world.context)), trained(TextGuidedFeatures(D))
    assert wider.logits(prompts, tuned).shape == (B, 7)


def test_one_class_loses_nothing_and_duplicate_names_tie():
    world = World(classes=1)
    image, texts = world.image.requires_grad_(), world.classes.expand(B, 1, D)
    loss = ctp_tft(image, texts, torch.zeros(B, dtype=torch.long))
    assert loss.item() == 0
    assert (torch.autograd.grad(loss, image)[0] == 0).all()
    twice = World()
    twice.names[1] = twice.names[0]
    twice.classes[1] = twice.classes[0]
    logits = twice.logits(trained(ClassPrompts(D, twice.context)))
    assert torch.equal(logits[:, 0], logits[:, 1])
    assert 1 not in logits.argmax(1)


@pytest.mark.parametrize("per_class", [False, True])
def test_the_loss_is_a_loop(per_class):
    torch.manual_seed(0)
    image = torch.randn(B, *([K] if per_class else []), D, dtype=torch.float64, requires_grad=True)
    texts = torch.randn(B, K, D, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([0, 3, 1])
    t = torch.tensor([0.1, 0.2, 0.5], dtype=torch.float64, requires_grad=True)
    want = []
    for b in range(B):
        own = [image[b, c] if per_class else image[b] for c in range(K)]
        logits = torch.stack(
            [torch.cosine_similarity(f, texts[b, c], dim=0) / t[b] for c, f in enumerate(own)]
        )
        want.append(logits.logsumexp(0) - logits[labels[b]])
    found = CTPTFT(t, reduction="none")(image, texts, labels)
    torch.testing.assert_close(found, torch.stack(want))
    assert torch.autograd.gradcheck(lambda *x: ctp_tft(*x[:2], labels, x[2]), [image, texts, t])
    torch.testing.assert_close(ctp_tft(image, texts, labels, t), found.mean())


def test_shared_texts_are_plain_classification():
    image, texts = torch.randn(B, D), torch.randn(K, D)
    labels = torch.tensor([0, 3, 1])
    logits = normalize(image, dim=1) @ normalize(texts, dim=1).T / 0.01
    found = ctp_tft(image, texts.expand(B, K, D), labels)
    torch.testing.assert_close(found, cross_entropy(logits, labels), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("temperature", [0.005, 10.0])
def test_extreme_temperatures_zero_vectors_and_half_precision(temperature):
    image, texts = torch.randn(B, D), torch.randn(B, K, D)
    image[0] = texts[1, 2] = 0
    labels = torch.tensor([0, 3, 1])
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        leaf = image.to(dtype).requires_grad_()
        loss = ctp_tft(leaf, texts.to(dtype), labels, temperature)
        same = ctp_tft(leaf.float(), texts.to(dtype).float(), labels, temperature)
        torch.testing.assert_close(loss, same)
        assert torch.isfinite(torch.autograd.grad(loss, leaf)[0]).all()


def test_what_does_not_fit_is_refused():
    image, texts, labels = torch.randn(B, D), torch.randn(B, K, D), torch.zeros(B).long()
    with pytest.raises(DataError, match="B, K, D"):
        ctp_tft(image, texts[0], labels)
    with pytest.raises(DataError, match="width"):
        ctp_tft(image[:, 1:], texts, labels)
    with pytest.raises(DataError, match="classes"):
        ctp_tft(torch.randn(B, 2, D), texts, labels)
    with pytest.raises(DataError, match=r"0\.\.3"):
        ctp_tft(image, texts, labels + K)
    with pytest.raises(DataError, match="NaN"):
        ctp_tft(image * torch.nan, texts, labels)
    with pytest.raises(SettingError, match="look"):
        ClassPrompts(D, torch.zeros(M, W), look="patches")
    with pytest.raises(SettingError, match="both"):
        TextGuidedFeatures(D, tokens=True, per_class=True)
    with pytest.raises(DataError, match="patches="):
        TextGuidedFeatures(D, tokens=True)(image, texts)
    with pytest.raises(DataError, match="joint space"):
        ClassPrompts(D, torch.zeros(M, W))(texts[0], image, torch.randn(B, P, D + 1))
