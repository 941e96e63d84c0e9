import pytest
import torch

from counterpoint.data.dataset import Split
from counterpoint.data.items import Chosen, ImageStack, gather


@pytest.fixture
def stack() -> ImageStack:
    return ImageStack(torch.arange(5 * 3 * 2 * 2).reshape(5, 3, 2, 2).to(torch.uint8))


def test_stack_hands_out_single_images_and_slices(stack):
    assert len(stack) == 5
    assert torch.equal(stack[-1], stack.pixels[4])
    assert torch.equal(stack[1:3].pixels, stack.pixels[1:3])
    with pytest.raises(IndexError):
        stack[5]


@pytest.mark.parametrize(
    "pixels", [torch.zeros(2, 1, 4, 4), torch.zeros(2, 4, 4, dtype=torch.uint8)]
)
def test_stack_refuses_other_shapes_and_types(pixels):
    with pytest.raises(ValueError, match="uint8"):
        ImageStack(pixels)


def test_gather_agrees_with_single_access_through_nested_choices(stack):
    chosen = Chosen(Chosen(stack, torch.tensor([4, 2, 0])), torch.tensor([2, 0]))
    assert torch.equal(gather(chosen, torch.tensor([1, 0, 1])), stack.pixels[[4, 0, 4]])
    assert torch.equal(chosen[0], stack.pixels[0])
    assert [x.tolist() for x in chosen[:1]] == [stack.pixels[0].tolist()]


def test_gather_of_plain_sequences(stack):
    rows = torch.tensor([3, 1])
    assert gather(["a", "b", "c", "d"], rows) == ["d", "b"]
    assert torch.equal(gather(list(stack), rows), stack.pixels[rows])


def test_take_keeps_everything_of_a_sample_together(stack):
    split = Split(
        stack,
        list("abcde"),
        torch.arange(5),
        {"domain": torch.arange(5) * 10},
        partners=[str(i) for i in range(5)],
    )
    part = split.take([3, 1])
    assert torch.equal(part.gather([0, 1]), stack.pixels[[3, 1]])
    assert list(part.names) == ["d", "b"]
    assert part.labels.tolist() == [3, 1]
    assert part.extras["domain"].tolist() == [30, 10]
    assert list(part.partners) == ["3", "1"]
