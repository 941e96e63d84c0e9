import math

import pytest

from counterpoint.claims import Part, combine, effect, exact, judge


def part(**changes) -> Part:
    words = {"id": "p", "claim": "c", "method": "m", "baseline": "b", "metric": "x"}
    return Part(**(words | changes))


def pairs(*gaps: float) -> list[tuple[float, float]]:
    return [(1 + gap, 1.0) for gap in gaps]


def test_interval_is_the_paired_t_interval() -> None:
    mean, (low, high) = effect([(3.0, 1.0), (5.0, 2.0), (5.0, 1.0)])  # gaps 2, 3, 4
    half = 4.302652729911275 / math.sqrt(3)  # t of two degrees of freedom, deviation 1
    assert mean == pytest.approx(3)
    assert (low, high) == pytest.approx((3 - half, 3 + half))


def test_interval_uses_the_pairing() -> None:
    _, (low, high) = effect([(1.1, 1.0), (100.1, 100.0), (7.1, 7.0)])
    assert (low, high) == pytest.approx((0.1, 0.1), abs=1e-9)


@pytest.mark.parametrize(
    ("gaps", "verdict"),
    [
        ((0.9, 1.0, 1.1), "holds"),
        ((-0.9, -1.0, -1.1), "refuted"),
        ((-1.0, 1.0, 2.0), "not shown"),
        ((0.0, 0.0, 0.0), "not shown"),
    ],
)
def test_whole_interval_decides(gaps, verdict: str) -> None:
    assert judge(part(), pairs(*gaps)) == verdict
    flipped = pairs(*(-gap for gap in gaps))
    assert judge(part(direction="lower"), flipped) == verdict


def test_margin_asks_for_more_or_tolerates_a_loss() -> None:
    gaps = pairs(0.009, 0.010, 0.011)
    assert judge(part(margin=0.02), gaps) == "not shown"
    assert judge(part(margin=0.005), gaps) == "holds"
    losses = pairs(-0.009, -0.010, -0.011)
    assert judge(part(margin=-0.02), losses) == "holds"
    assert judge(part(margin=-0.005), losses) == "refuted"
    assert judge(part(direction="lower", margin=-0.02), gaps) == "holds"


def test_rule_of_refutation_on_the_mean() -> None:
    wide = pairs(-3.0, 0.5, 1.0)
    assert judge(part(), wide) == "not shown"
    assert judge(part(refuted_below=0.0), wide) == "refuted"
    assert judge(part(refuted_below=-0.6), wide) == "not shown"
    assert judge(part(direction="lower", refuted_below=0.0), pairs(3.0, -0.5, -1.0)) == "refuted"


def test_rule_of_refutation_on_every_seed() -> None:
    gaps = pairs(1.0, 1.0, -0.1, 1.0, 1.0)
    assert judge(part(refuted_below=0.0), gaps) == "holds"
    assert judge(part(refuted_below=0.0, every_seed=True), gaps) == "refuted"


def test_a_claim_is_as_good_as_its_parts() -> None:
    assert combine(["holds", "holds"]) == "holds"
    assert combine(["holds", "not shown"]) == "not shown"
    assert combine(["not shown", "refuted", "holds"]) == "refuted"


def test_an_identity_is_refuted_by_one_seed_beyond_the_tolerance() -> None:
    identity = exact("p", "c", "m")
    assert judge(identity, [(0.0, 1e-6), (1e-9, 1e-6), (2e-16, 1e-6)]) == "holds"
    assert judge(identity, [(0.0, 1e-6), (2e-6, 1e-6), (0.0, 1e-6)]) == "refuted"
