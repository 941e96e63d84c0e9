"""What is remembered between steps survives ``state_dict`` and goes on to the same numbers."""

import io

import pytest
import torch
from states import STATES, classes_with_state


@pytest.mark.parametrize("name", STATES)
def test_a_saved_state_goes_on_to_equal_numbers(name):
    make, step = STATES[name]
    torch.manual_seed(0)
    first = make()
    for number in range(3):
        step(first, number)
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    torch.manual_seed(1)
    second = make()
    second.load_state_dict(torch.load(io.BytesIO(file.getvalue())))
    for number in range(3, 6):
        wanted, found = step(first, number), step(second, number)
        assert len(wanted) == len(found)
        for want, one in zip(wanted, found, strict=True):
            assert torch.equal(want, one)
    for key, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[key]), key


@pytest.mark.parametrize("name", STATES)
def test_the_state_moves(name):
    make, step = STATES[name]
    module = make()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    step(module, 0)
    assert any(not torch.equal(before[key], x) for key, x in module.state_dict().items())


def test_every_class_with_a_state_is_tried():
    tried = {type(make()) for make, _ in STATES.values()}
    assert set(classes_with_state()) <= tried
