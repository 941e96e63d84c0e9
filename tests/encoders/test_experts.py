import pytest
import torch

from counterpoint.encoders.experts import GatedFeedForward, RoutedExperts, SwitchExperts
from counterpoint.encoders.pooling_head import PoolingHead
from counterpoint.errors import DataError, SettingError


@pytest.fixture
def setting():
    torch.manual_seed(0)
    return GatedFeedForward(4, 3), torch.randn(5, 2, 4), torch.tensor([2, 0, 2, 1, 0])


def differ(experts):
    for number, expert in enumerate(experts.experts):
        for parameter in expert.parameters():
            torch.nn.init.normal_(parameter, std=0.5 + number)
    return experts


def test_gated_block_is_its_formula(setting):
    block, h, _ = setting
    inner = block.Wi(h)
    wanted = block.Wo(torch.nn.functional.gelu(inner[..., :3]) * inner[..., 3:])
    torch.testing.assert_close(block(h), wanted)


def test_right_after_the_extension_nothing_has_changed(setting):
    block, h, _ = setting
    experts = RoutedExperts(block, 3)
    for assignment in (torch.zeros(5, dtype=torch.int64), torch.tensor([2, 0, 2, 1, 0])):
        torch.testing.assert_close(experts(h, assignment), block(h), rtol=0, atol=1e-7)


def test_each_example_passes_its_own_expert(setting):
    block, h, assignment = setting
    experts = differ(RoutedExperts(block, 3))
    wanted = torch.stack(
        [experts.experts[r](x) for x, r in zip(h, assignment.tolist(), strict=True)]
    )
    torch.testing.assert_close(experts(h, assignment), wanted)
    tokens = torch.randint(3, (5, 2))
    by_token = experts(h, tokens)
    for i in range(5):
        for t in range(2):
            torch.testing.assert_close(by_token[i, t], experts.experts[tokens[i, t]](h[i, t]))


def test_order_and_names_of_experts_do_not_matter(setting):
    block, h, assignment = setting
    experts = differ(RoutedExperts(block, 3))
    out = experts(h, assignment)
    order = torch.randperm(5)
    torch.testing.assert_close(experts(h[order], assignment[order]), out[order])
    swapped = RoutedExperts(block, 3)
    swapped.experts[0], swapped.experts[2] = experts.experts[2], experts.experts[0]
    swapped.experts[1] = experts.experts[1]
    torch.testing.assert_close(swapped(h, 2 - assignment), out)


def test_an_absent_field_gets_no_gradient(setting):
    block, h, _ = setting
    experts = RoutedExperts(block, 3)
    experts(h, torch.tensor([0, 2, 0, 2, 2])).sum().backward()
    assert all(p.grad is None for p in experts.experts[1].parameters())
    assert all(p.grad is not None for p in experts.experts[0].parameters())


def test_wrong_assignments_are_refused(setting):
    block, h, assignment = setting
    experts = RoutedExperts(block, 3)
    with pytest.raises(DataError, match="Expert 3 does not exist"):
        experts(h, assignment + 1)
    with pytest.raises(DataError, match="assignment must be"):
        experts(h, assignment[:2])
    with pytest.raises(SettingError):
        RoutedExperts(block, 0)


@pytest.mark.parametrize("per_token", [False, True])
@pytest.mark.parametrize("top_k", [1, 2, 3])
def test_switch_is_its_formula(setting, per_token, top_k):
    block, h, _ = setting
    switch = SwitchExperts(block, 3, 4, top_k=top_k, per_token=per_token)
    differ(switch.routed)
    out, logits = switch(h)
    raw = h @ switch.router.weight.T
    torch.testing.assert_close(logits, raw if per_token else raw.mean(1))
    for i in range(5):
        for t in range(2):
            p = (raw[i, t] if per_token else raw[i].mean(0)).softmax(0)
            best = p.argsort(descending=True)[:top_k].tolist()
            weights = [1.0] if top_k == 1 else [p[e] for e in best]
            if per_token and top_k > 1:
                weights = [w / sum(weights) for w in weights]
            wanted = sum(
                w * switch.routed.experts[e](h[i, t]) for w, e in zip(weights, best, strict=True)
            )
            torch.testing.assert_close(out[i, t], wanted, rtol=1e-5, atol=1e-6)
    with pytest.raises(SettingError):
        SwitchExperts(block, 3, 4, top_k=4)


def test_pooling_head_ignores_padding():
    torch.manual_seed(0)
    head, tokens = PoolingHead(4), torch.randn(2, 3, 4)
    mask = torch.tensor([[1, 1, 0], [0, 0, 0]])
    moved = tokens.clone()
    moved[0, 2] = 99
    torch.testing.assert_close(head(moved, mask), head(tokens, mask))
    norm, first, _, last = head.layers
    wanted = last(torch.tanh(first(norm(tokens[0, :2].mean(0)))))
    torch.testing.assert_close(head(tokens, mask)[0], wanted)
    torch.testing.assert_close(head(tokens, mask)[1], last(torch.tanh(first(norm(torch.zeros(4))))))
