import numpy as np
import pytest

from counterpoint.errors import SettingError
from counterpoint.probes import LogisticProbe, NaiveBayes, two_regimes
from counterpoint.probes.two_regimes import _crossing


def sample(seed: int, rows: int, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    y = np.concatenate([np.arange(classes), generator.integers(0, classes, rows - classes)])
    return generator.normal(size=(rows, 5)) + np.eye(5)[y], y


def test_both_probes_see_the_same_complete_subsets(monkeypatch) -> None:
    seen: dict[str, list] = {"naive_bayes": [], "logistic": []}
    for kind in (NaiveBayes, LogisticProbe):

        def record(self, train_z, train_y, test_z, test_y) -> float:
            seen[self.name].append((train_z.tobytes(), train_y.tolist()))
            return 0.75 if self.name == "naive_bayes" else 0.5

        monkeypatch.setattr(kind, "score", record)
    train, test = sample(0, 60), sample(1, 30)
    found = two_regimes(*train, *test, grid=[20, 4], repeats=3)
    assert seen["naive_bayes"] == seen["logistic"]
    assert [len(y) for _, y in seen["logistic"]] == [4] * 3 + [20] * 3
    assert all(set(y) == {0, 1, 2} for _, y in seen["logistic"])
    assert len({rows for rows, _ in seen["logistic"]}) == 6
    assert found["m"] == [4, 20]
    assert found["naive_bayes"] == {"mean": [0.25, 0.25], "std": [0, 0]}
    assert found["logistic"] == {"mean": [0.5, 0.5], "std": [0, 0]}
    assert found["crossing"] is None


def test_all_rows_give_the_error_of_the_probes_themselves() -> None:
    train, test = sample(2, 40), sample(3, 50)
    found = two_regimes(*train, *test, grid=[40], repeats=1)
    assert found["naive_bayes"]["mean"] == [1 - NaiveBayes().score(*train, *test)]
    assert found["logistic"]["mean"] == [1 - LogisticProbe().score(*train, *test)]


def test_repeatable_and_seeded() -> None:
    train, test = sample(4, 50), sample(5, 50)
    first = two_regimes(*train, *test, grid=[6, 12], repeats=2, seed=1)
    assert first == two_regimes(*train, *test, grid=[6, 12], repeats=2, seed=1)
    assert (
        first["naive_bayes"]
        != two_regimes(*train, *test, grid=[6, 12], repeats=2, seed=2)["naive_bayes"]
    )


def test_crossing_is_interpolated_in_log_m() -> None:
    assert _crossing([10, 100], [-0.1, 0.1]) == pytest.approx(10**1.5)
    assert _crossing([10, 100, 1000], [-0.1, -0.1, 0.3]) == pytest.approx(100 * 10**0.25)
    assert _crossing([10, 100], [0.1, 0.2]) is None
    assert _crossing([10, 100], [-0.1, -0.2]) is None


def test_default_grid_is_multiples_of_the_classes() -> None:
    train, test = sample(6, 100), sample(7, 10)
    assert two_regimes(*train, *test, repeats=1)["m"] == [9, 15, 30, 60]
    assert two_regimes(*train, *test, repeats=1, max_m=20)["m"] == [9, 15]
    assert two_regimes(*sample(8, 5), *test, repeats=1)["m"] == [5]


def test_sizes_without_a_complete_subset_are_said() -> None:
    y = np.array([0] * 5000 + [1])
    x = np.random.default_rng(0).normal(size=(5001, 2))
    found = two_regimes(x, y, x[:4], y[:4], grid=[2, 5001], repeats=4)
    assert found["skipped"] == [2]
    assert found["m"] == [5001]


@pytest.mark.parametrize("grid", [[2], [61], []])
def test_sizes_out_of_range_are_refused(grid) -> None:
    with pytest.raises(SettingError, match="between the 3 classes and the 60"):
        two_regimes(*sample(0, 60), *sample(1, 9), grid=grid)
    with pytest.raises(SettingError, match="repeats"):
        two_regimes(*sample(0, 60), *sample(1, 9), repeats=0)
