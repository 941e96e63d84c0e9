import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from counterpoint.data.splits import by_group, stratified, thin
from counterpoint.errors import SettingError

labels_of = st.lists(st.integers(-1, 5), min_size=1, max_size=60)
shares = st.floats(0, 0.9)


@given(labels_of, shares, st.integers(0, 5))
def test_stratified_is_a_partition_with_every_class_learnt_from(values, share, seed):
    labels = torch.tensor(values)
    train, test = stratified(labels, len(values), share, seed)
    assert sorted(train.tolist() + test.tolist()) == list(range(len(values)))
    assert train.tolist() == sorted(train.tolist())
    assert test.tolist() == sorted(test.tolist())
    assert -1 not in labels[test]
    for label in set(values) - {-1}:
        n = values.count(label)
        held = int((labels[test] == label).sum())
        assert held < n
        if n == 1 or share == 0:
            assert held == 0
        else:
            assert held == min(max(round(share * n), 1), n - 1)


@given(labels_of, st.integers(0, 5), st.integers(1, 5))
def test_stratified_never_parts_a_group(values, seed, groups):
    keys = [i % groups for i in range(len(values))]
    train, test = stratified(torch.tensor(values), len(values), 0.3, seed, keys)
    assert not {keys[i] for i in train.tolist()} & {keys[i] for i in test.tolist()}


@given(st.integers(2, 60), st.integers(0, 5))
def test_split_without_labels(count, seed):
    train, test = stratified(None, count, 0.25, seed)
    assert len(test) == min(max(round(0.25 * count), 1), count - 1)
    assert len(train) + len(test) == count


def test_same_seed_same_split_other_seed_other_split():
    labels = torch.arange(100) % 4
    once, again = (stratified(labels, 100, 0.2, 3)[1] for _ in range(2))
    assert torch.equal(once, again)
    assert not torch.equal(once, stratified(labels, 100, 0.2, 4)[1])


@pytest.mark.parametrize("share", [-0.1, 1.0, 2.0, float("nan")])
def test_share_out_of_range(share):
    with pytest.raises(SettingError, match="test_share"):
        stratified(None, 10, share)


@given(st.lists(st.sampled_from("abcdef"), min_size=2, max_size=60), shares, st.integers(0, 5))
def test_by_group_holds_out_whole_groups_within_the_share(groups, share, seed):
    train, test = by_group(groups, share, seed)
    held = {groups[i] for i in test.tolist()}
    assert not held & {groups[i] for i in train.tolist()}
    assert len(train) + len(test) == len(groups)
    assert len(train) > 0
    if len(set(groups)) > 1 and share > 0:
        assert held
    if len(held) > 1:
        assert len(test) <= share * len(groups)


@given(labels_of, st.integers(1, 60), st.integers(0, 5))
def test_thin_keeps_classes_in_proportion(values, keep, seed):
    labels = torch.tensor(values)
    kept = thin(labels, len(values), keep, seed)
    assert kept.tolist() == sorted(set(kept.tolist()))
    assert len(kept) == min(keep, len(values))
    for label in set(values):
        expected = values.count(label) * min(1, keep / len(values))
        classes = len(set(values))
        assert abs(int((labels[kept] == label).sum()) - expected) <= classes


def test_thin_of_equal_classes_is_even():
    labels = torch.arange(300) % 3
    counts = np.bincount(labels[thin(labels, 300, 30)])
    assert counts.max() - counts.min() <= 1
