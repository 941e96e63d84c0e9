import pytest

from counterpoint.apps.bench import bench
from counterpoint.errors import SettingError


def test_times_are_ratios_of_the_same_run():
    seen = []
    found = bench(["dcl", "clip"], rows=256, width=16, rounds=2, on_progress=seen.append)
    assert list(found["objectives"]) == ["dcl", "clip"]
    for cost in found["objectives"].values():
        assert cost["pairs_per_second"] == pytest.approx(256**2 / cost["seconds"])
    assert [event.done for event in seen] == [1, 2]


def test_the_ratio_of_one_round_is_that_of_its_two_times():
    found = bench(["clip"], rows=256, width=16, rounds=1)
    (cost,) = found["objectives"].values()
    assert cost["over_products"] == pytest.approx(cost["seconds"] / found["products"])


def test_without_names_the_whole_family_is_timed():
    found = bench(rows=64, width=4, rounds=1)
    assert list(found["objectives"]) == [
        *("nt_xent", "dcl", "supcon", "info_nce", "clip", "cwcl", "contrast")
    ]


def test_wrong_arguments_are_refused():
    with pytest.raises(SettingError, match="Did you mean dcl"):
        bench(["dcll"])
    with pytest.raises(SettingError, match="at least 64"):
        bench(rows=2)
