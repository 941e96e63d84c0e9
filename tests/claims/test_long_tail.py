import torch

from counterpoint import data
from counterpoint.claims._long_tail import long_tailed


def test_classes_shrink_geometrically_and_held_out_ones_are_even() -> None:
    found = long_tailed(16.0, seed=0)
    assert found.train.labels is not None
    assert found.test.labels is not None
    sizes = torch.bincount(found.train.labels).sort(descending=True).values
    whole = data.load("digits", seed=0).train.labels
    assert whole is not None
    largest = int(torch.bincount(whole).min())
    assert sizes.tolist() == [round(largest * 16 ** (-k / 9)) for k in range(10)]
    assert len(torch.bincount(found.test.labels).unique()) == 1
    assert len(set(found.train.names)) == len(found.train)


def test_seeds_decide_which_class_is_rare() -> None:
    def rarest(seed: int) -> int:
        labels = long_tailed(16.0, seed).train.labels
        assert labels is not None
        return int(torch.bincount(labels).argmin())

    assert rarest(0) == rarest(0)
    assert len({rarest(seed) for seed in range(5)}) > 1
