from __future__ import annotations

from collections.abc import Callable
from typing import Any

from counterpoint.report import board, verdict

Make = Callable[..., dict[str, Any]]


def said(results: dict[str, Any]) -> str:
    return " ".join(verdict.headline(board.read(results))).replace("\u00a0", " ")


def noted(results: dict[str, Any]) -> str:
    return "\n".join(verdict.notes(board.read(results), results)).replace("\u00a0", " ")


def test_names_the_best_method_its_scores_and_its_rivals(make_results: Make) -> None:
    assert said(make_results()) == (
        "simclr+dcl embeds this data best: kNN 71.0\u202f%, linear 76.0\u202f%, "
        "naive Bayes 66.0\u202f%; within noise of simclr."
    )


def test_a_larger_test_set_breaks_the_tie(make_results: Make) -> None:
    assert "noise" not in said(make_results(test=100_000))


def test_the_ceiling_never_wins(make_results: Make, make_row: Make) -> None:
    rows = make_row("simclr", 0.5), make_row("supcon", 0.99, "ceiling")
    assert said(make_results(*rows)).startswith("simclr embeds")


def test_a_floor_that_is_not_beaten_is_the_headline(make_results: Make, make_row: Make) -> None:
    below = make_results(make_row("pixels", 0.8, "floor"), make_row("simclr", 0.5))
    assert said(below) == (
        "No method beats the floor: simclr, the best, stays below pixels "
        "(kNN 50.0\u202f% against 80.0\u202f%)."
    )
    close = make_results(make_row("pixels", 0.5, "floor"), make_row("simclr", 0.51))
    assert "is within noise of pixels" in said(close)


def test_probes_that_disagree_are_reported(make_results: Make, make_row: Make) -> None:
    other = make_row("moco", 0.6)
    other["probes"]["linear"] = 0.95
    text = noted(make_results(make_row("simclr", 0.7), other))
    assert "The probes disagree: the linear probe prefers moco (95.0\u202f%)." in text


def test_says_what_the_leaders_do_and_how_long_it_took(make_results: Make, make_row: Make) -> None:
    rows = [
        make_row("simclr", 0.7, idea="Two views."),
        make_row("cacr", 0.9, idea="Several views.", seconds=51.0),
        make_row("supcon", 0.95, "ceiling", idea="Labels."),
    ]
    text = noted(make_results(*rows))
    assert (
        "Why they may lead, by what they do: cacr: Several views. It trained 3.0 times as long as "
        "the quickest method. supcon: Labels."
    ) in text
    assert "Labels." not in noted(make_results(*rows[:2], {**rows[2], "probes": {"knn": 0.8}}))
    close = make_row("moco", 0.89, idea="A queue.")
    assert "may lead" not in noted(make_results(*rows, close))
    floor = make_row("pixels", 0.95, "floor")
    assert "may lead" not in noted(make_results(*rows, floor))


def test_says_how_many_seeds_and_how_large_the_error_is(make_results: Make) -> None:
    text = noted(make_results())
    assert "One seed:" in text
    assert "On 400 test samples, methods within about 3.2 points of the best kNN are ties" in text
    several = noted(make_results(protocol={"seeds": [0, 1, 2]}))
    assert "3 seeds" in several
    assert "One seed" not in several


def test_without_a_test_size_no_tie_is_claimed(make_results: Make) -> None:
    results = make_results(data={})
    assert "within noise" not in said(results)
    assert "not known" in noted(results)


def test_without_probes_failed_or_empty(make_results: Make, make_row: Make) -> None:
    assert said(make_results(make_row("simclr", 0.5, probes={}))).startswith("Nobody can say")
    failed = {"method": "simclr", "role": "method", "error": "out of memory"}
    assert said(make_results(failed)).startswith("Every method failed")
    assert said({}) == "No method was compared. "


def test_lists_read_as_prose() -> None:
    assert verdict.listed([]) == ""
    assert verdict.listed(["a"]) == "a"
    assert verdict.listed(["a", "b", "c"]) == "a, b and c"
