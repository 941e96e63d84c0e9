import pytest
import torch

from counterpoint.encoders.quality_head import QualityHead
from counterpoint.errors import DataError


def test_padding_takes_no_part():
    torch.manual_seed(0)
    head = QualityHead(4, 6)
    tokens = torch.randn(3, 5, 4)
    mask = torch.ones(3, 5, dtype=torch.bool)
    mask[:, 3:] = False
    padded = tokens.clone()
    padded[:, 3:] = 99.0
    torch.testing.assert_close(head(padded, mask), head(tokens[:, :3], mask[:, :3]))
    first, _, last = head.layers
    wanted = last(torch.relu(first(tokens[:, :3].amax(1))))[:, 0]
    torch.testing.assert_close(head(tokens, mask), wanted)
    with pytest.raises(DataError, match="Sequence 0"):
        head(tokens, torch.zeros_like(mask))
