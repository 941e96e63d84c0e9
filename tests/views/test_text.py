import pytest
import torch

from counterpoint.errors import SettingError
from counterpoint.views import BatchView, Crop, Delete, Repeat, Same

TEXT = " ".join(f"w{i}" for i in range(40))
VIEWS = [Same(), Delete(), Crop(), Repeat()]
SEEDS = torch.arange(300)


def words(view, text=TEXT):
    return [made.split() for made in view.batch([text] * len(SEEDS), SEEDS)]


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: type(view).__name__)
def test_views_depend_on_text_and_seed_alone(view):
    assert isinstance(view, BatchView)
    texts = [TEXT, "one two three", TEXT]
    together = view.batch(texts, torch.tensor([1, 2, 3]))
    assert view.batch(texts[::-1], torch.tensor([3, 2, 1])) == together[::-1]
    torch.manual_seed(0)
    first = view(TEXT)
    torch.manual_seed(0)
    assert view(TEXT) == first


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: type(view).__name__)
@pytest.mark.parametrize("text", ["", "word", "two words"])
def test_short_texts_never_become_empty(view, text):
    for made in words(view, text):
        assert bool(made) == bool(text)
        assert set(made) <= set(text.split())


def test_same():
    assert Same()("  as it\n is ") == "  as it\n is "


def test_delete_leaves_out_the_share_and_keeps_the_order():
    made = words(Delete(0.25))
    assert abs(sum(map(len, made)) / len(made) / 40 - 0.75) < 0.02
    for kept in made:
        assert kept == [w for w in TEXT.split() if w in set(kept)]
    assert all(len(kept) == 1 for kept in words(Delete(1.0)))


def test_crop_is_a_run_of_the_share_anywhere():
    made = words(Crop((0.25, 0.5)))
    for kept in made:
        start = int(kept[0][1:])
        assert kept == TEXT.split()[start : start + len(kept)]
        assert 10 <= len(kept) <= 20
    assert {kept[0] for kept in made} >= {f"w{i}" for i in range(20)}
    assert any(kept[-1] == "w39" for kept in made)
    assert all(len(kept) == 1 for kept in words(Crop((0.0, 0.0))))


def test_repeat_doubles_up_to_the_share():
    extra = set()
    for made in words(Repeat(0.2)):
        assert list(dict.fromkeys(made)) == TEXT.split()
        assert max(made.count(word) for word in set(made)) <= 2
        extra.add(len(made) - 40)
    assert extra == set(range(9))


@pytest.mark.parametrize("make", [Delete, Repeat, lambda share: Crop((0.5, share))])
@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_share_out_of_range(make, share):
    with pytest.raises(SettingError, match="share"):
        make(share)


def test_crop_range_upside_down():
    with pytest.raises(SettingError, match="low, high"):
        Crop((0.9, 0.3))
