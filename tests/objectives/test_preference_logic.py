import itertools
import math
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from counterpoint.errors import DataError, SettingError
from counterpoint.objectives import formulas
from counterpoint.objectives import preference as p
from counterpoint.objectives.preference_logic import (
    PLAIN,
    RATIOS,
    Structure,
    compile_loss,
    decompile,
    entails,
    enumerate_structures,
    equivalent,
    lattice,
)

TABLE = {
    "CE": ("TT TF", "FT FF", "w", "true", "false"),
    "CEUnl": ("TF", "TT FT FF", "w and not l", "true", "false"),
    "CPO": ("TT TF", "TT FT", "l -> w", "w or l", "w and l"),
    "ORPO": ("TF", "FT", "l -> w", "w xor l", "false"),
    "unCPO": ("TT TF FF", "FT", "l -> w", "true", "false"),
    "cCPO": ("TT TF", "FT", "l -> w", "w or l", "false"),
    "cfUnl": ("TF FF", "FT", "l -> w", "not (w and l)", "false"),
    "qfUnl": ("TF FF", "FT FF", "l -> w", "not (w and l)", "not w and not l"),
    "fUnl": ("TF FF", "TT FT", "not l", "true", "false"),
    "cUNL": ("TF", "TT FT", "not l", "w or l", "false"),
    "l20": ("TF FF", "TT FT FF", "not l", "true", "not w and not l"),
    "sCE": ("TT TF", "TT FT FF", "w", "true", "w and l"),
}
EDGES = """CEUnl-cUNL CEUnl-l20 CEUnl-sCE l20-fUnl l20-qfUnl cUNL-CPO cUNL-ORPO cUNL-fUnl sCE-CE
sCE-CPO CE-cCPO CPO-cCPO ORPO-cCPO ORPO-cfUnl fUnl-cfUnl qfUnl-cfUnl cCPO-unCPO cfUnl-unCPO"""
RATIO = {
    "CE": lambda w, v: w / (1 - w),
    "CEUnl": lambda w, v: w * (1 - v) / (w * v + 1 - w),
    "CPO": lambda w, v: w / v,
    "ORPO": lambda w, v: w * (1 - v) / (v * (1 - w)),
    "unCPO": lambda w, v: (v * w + 1 - v) / (v * (1 - w)),
    "cCPO": lambda w, v: w / (v * (1 - w)),
    "cfUnl": lambda w, v: (1 - v) / (v * (1 - w)),
    "qfUnl": lambda w, v: (1 - v) / (1 - w),
    "fUnl": lambda w, v: (1 - v) / v,
    "cUNL": lambda w, v: w * (1 - v) / v,
    "l20": lambda w, v: (1 - v) / (w * v + 1 - w),
    "sCE": lambda w, v: w / (w * v + 1 - w),
}


def random_log_p(names, count=200, seed=0):
    torch.manual_seed(seed)
    return {
        name: torch.rand(count, dtype=torch.float64).clamp(1e-6, 0.999999).log() for name in names
    }


def wmc_by_rows(rows, names, log_p):
    total = 0.0
    for row in formulas.row_names(rows, len(names)):
        weight = 1.0
        for letter, name in zip(row, names, strict=True):
            chance = log_p[name].exp()
            weight = weight * (chance if letter == "T" else 1 - chance)
        total = total + weight
    return total


@pytest.mark.parametrize("name", TABLE)
def test_table_of_the_paper(name):
    found = decompile(name)
    shown = (" ".join(found.check_rows), " ".join(found.cross_rows))
    assert (*shown, found.core, found.constraint, found.additive) == TABLE[name]
    assert Structure.of(*TABLE[name][2:]) == found
    assert Structure.from_rows(TABLE[name][0].split(), TABLE[name][1].split()) == found


@pytest.mark.parametrize("name", TABLE)
def test_compiling_a_decompiled_loss_gives_the_loss(name):
    log_p = random_log_p("wl")
    ratio = RATIO[name](log_p["w"].exp(), log_p["l"].exp())
    torch.testing.assert_close(decompile(name).rho(log_p), ratio.log(), rtol=1e-10, atol=1e-10)
    loss = compile_loss(decompile(name), beta=0.7)(log_p)
    torch.testing.assert_close(loss, -torch.nn.functional.logsigmoid(0.7 * ratio.log()))


def value(ratio, p):
    """A written ratio as a number, by Python's own arithmetic."""
    factors = re.sub(r"(?<=[\w)]) (?=[\w(])", "*", ratio)
    return eval(factors, {name: chance.exp() for name, chance in p.items()})


@pytest.mark.parametrize("name", RATIOS)
def test_a_symbolic_form_gives_back_its_loss_as_text(name):
    found = decompile(name)
    again = Structure.of(found.core, found.constraint, found.additive, found.names)
    assert decompile(again.ratio) == found
    log_p = random_log_p(found.names)
    torch.testing.assert_close(value(again.ratio, log_p), value(RATIOS[name], log_p))
    torch.testing.assert_close(value(again.ratio, log_p).log(), found.rho(log_p))


def test_every_structure_of_two_has_a_ratio_that_reads_back():
    written = [s for s in enumerate_structures() if not s.degenerate]
    assert [decompile(s.ratio) for s in written] == written
    with pytest.raises(SettingError, match="would be infinite"):
        Structure.from_rows(["TT"], []).ratio  # noqa: B018


@pytest.mark.parametrize("name", RATIOS)
def test_count_equals_the_sum_over_rows(name):
    found = decompile(name)
    log_p = random_log_p(found.names, count=20)
    wanted = wmc_by_rows(found.positive, found.names, log_p).log()
    wanted = wanted - wmc_by_rows(found.negative, found.names, log_p).log()
    torch.testing.assert_close(found.rho(log_p), wanted, rtol=1e-9, atol=1e-9)


def test_compiled_structures_are_the_published_losses():
    log_p = random_log_p(["w", "l", "rw", "rl"], count=50)
    w, lost, rw, rl = (log_p[name] for name in ("w", "l", "rw", "rl"))
    pairs = [
        (compile_loss("DPO", beta=0.1), p.dpo(w, lost, rw, rl, beta=0.1, reduction="none")),
        (compile_loss("IPO", "squared", 0.1), p.ipo(w, lost, rw, rl, beta=0.1, reduction="none")),
        (compile_loss("CPO", beta=0.1), p.cpo(w, lost, beta=0.1, reduction="none")),
        (compile_loss("SliC", "hinge", 0.6), p.slic(w, lost, beta=0.6, reduction="none")),
        (compile_loss("ORPO"), p.orpo(w, lost, reduction="none")),
    ]
    for loss, wanted in pairs:
        torch.testing.assert_close(loss(log_p), wanted, rtol=1e-10, atol=1e-12)
    simpo = compile_loss("SimPO", beta=2.0)
    constants = {"mw": torch.zeros_like(w), "ml": torch.full_like(w, -0.5)}
    torch.testing.assert_close(
        simpo(log_p | constants), p.simpo(w, lost, beta=2.0, margin=0.5, reduction="none")
    )
    dpop = compile_loss("DPOP", beta=0.1)(log_p | {"w2": w, "rw2": rw})
    torch.testing.assert_close(
        dpop, p.dpop(w, lost, rw, rl, beta=0.1, clipped=False, reduction="none")
    )
    odpo = compile_loss("ODPO")(log_p | {"c": torch.full_like(w, -0.3)})
    torch.testing.assert_close(odpo, p.dpo(w, lost, rw, rl, beta=1.0, offset=0.3, reduction="none"))


def test_reference_is_added_to_both_forms():
    log_p = random_log_p(["w", "l", "rw", "rl"], count=30)
    shift = log_p["rw"] - log_p["rl"]
    for name in PLAIN:
        plain = decompile(name)
        torch.testing.assert_close(plain.with_reference().rho(log_p), plain.rho(log_p) - shift)
    assert decompile("CPO").with_reference() == decompile("DPO")
    assert decompile("ORPO").with_reference() == decompile("ORPO-ref")
    dpo = decompile("DPO")
    assert equivalent(
        dpo, Structure.of("(l and rw) -> (w and rl)", dpo.constraint, dpo.additive, dpo.names)
    )
    assert dpo.additive == "w and l and rw and rl"


def test_lattice_of_the_paper():
    found = lattice({name: decompile(name) for name in PLAIN})
    assert {f"{a}-{b}" for a, b in found} == set(EDGES.split())


def test_entailment_is_the_order_of_the_losses():
    log_p = random_log_p("wl", count=10_000)
    structures = {name: decompile(name) for name in PLAIN}
    rho = {name: structure.rho(log_p) for name, structure in structures.items()}
    entailed = 0
    for a, b in itertools.permutations(PLAIN, 2):
        ordered = bool((rho[a] <= rho[b] + 1e-12).all())
        assert ordered == entails(structures[a], structures[b])
        entailed += ordered
        if ordered:
            worse, better = (compile_loss(structures[name])(log_p) for name in (a, b))
            assert (worse >= better - 1e-12).all()
    assert entailed == 38


def test_squared_losses_are_not_ordered_by_entailment():
    log_p = random_log_p("wl", count=1000)
    assert entails(decompile("CPO"), decompile("cCPO"))
    a, b = (compile_loss(name, "squared", 1.0)(log_p) for name in ("CPO", "cCPO"))
    assert (a < b).any()
    assert (a > b).any()


def test_the_space_of_two_propositions():
    found = list(enumerate_structures())
    assert len(found) == len(set(found)) == 256
    sound = [structure for structure in found if not structure.degenerate]
    assert len(found) - len(sound) == 31
    log_p = random_log_p("wl", count=7)
    values = {tuple((s.rho(log_p) * 1e8).round().long().tolist()) for s in sound}
    assert len(values) == 187
    assert sum(bool((s.rho(log_p).abs() < 1e-12).all()) for s in sound) == 15
    with pytest.raises(SettingError, match="4\\^16"):
        next(enumerate_structures("wxyz"))


def test_equal_losses_need_not_be_equivalent():
    log_p = random_log_p("wl", count=20)
    one, other = Structure.from_rows(["TT"], ["FT"]), Structure.from_rows(["TF"], ["FF"])
    torch.testing.assert_close(one.rho(log_p), decompile("CE").rho(log_p))
    torch.testing.assert_close(other.rho(log_p), decompile("CE").rho(log_p))
    assert not equivalent(one, other)


def test_neighbours_differ_in_one_row():
    cpo = decompile("CPO")
    near = list(cpo.neighbours())
    assert len(near) == len(set(near)) == 12
    assert cpo.with_mark("TT", "check") == decompile("cCPO")
    assert cpo.mark("TT") == "both"
    assert cpo.mark("FF") == "blank"
    for other in near:
        assert sum(cpo.mark(row) != other.mark(row) for row in ("TT", "TF", "FT", "FF")) == 1


def test_leaving_out_the_both_rows_changes_the_loss():
    cpo = decompile("CPO")
    without = Structure.of(cpo.core, cpo.constraint, names=cpo.names)
    assert without == decompile("cCPO")


def test_degenerate_structures_are_refused():
    for check, cross in ((["TT"], []), ([], ["TT"])):
        structure = Structure.from_rows(check, cross)
        assert structure.degenerate
        with pytest.raises(SettingError, match="infinite"):
            structure.rho(random_log_p("wl"))


def test_sequences_too_improbable_make_losses_coincide():
    tiny = {"w": torch.tensor([-700.0]), "l": torch.tensor([-705.0])}
    values = [decompile(name).rho(tiny).item() for name in ("CPO", "ORPO", "cCPO")]
    assert values == [5.0, 5.0, 5.0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_certainty_gives_numbers(dtype):
    sure = {"w": torch.zeros(1, dtype=dtype), "l": torch.zeros(1, dtype=dtype)}
    for name in PLAIN:
        assert torch.isfinite(decompile(name).rho(sure)).all()


def test_gradients():
    log_p = random_log_p("wl", count=5)
    for name in PLAIN:
        loss = compile_loss(name, beta=0.5)
        values = [log_p[key].clone().requires_grad_() for key in "wl"]
        assert torch.autograd.gradcheck(
            lambda w, v, loss=loss: loss({"w": w, "l": v}) + 0 * (w + v), values
        )


def test_what_is_no_weighted_count_is_refused():
    with pytest.raises(SettingError, match="copy"):
        decompile("w w / l")
    with pytest.raises(SettingError, match="exclude"):
        decompile("w + l / (1-w)")
    with pytest.raises(SettingError, match="Did you mean CPO"):
        decompile("CPOO")
    with pytest.raises(SettingError, match="Cannot read"):
        decompile("w - l / w")
    with pytest.raises(SettingError, match="not given"):
        decompile("CPO").rho({"w": torch.tensor([-1.0])})
    with pytest.raises(DataError, match="above 0"):
        decompile("CPO").rho({"w": torch.tensor([0.1]), "l": torch.tensor([-1.0])})
    with pytest.raises(SettingError, match="beta"):
        compile_loss("CPO", beta=0.0)
    with pytest.raises(SettingError, match="T or F"):
        Structure.from_rows(["T"], ["FF"])


def test_propositions_without_influence_need_no_probability():
    log_p = {"w": torch.tensor([-1.0])}
    assert decompile("CE").rho(log_p).item() == pytest.approx(-1.0 - math.log(1 - math.exp(-1.0)))


@given(st.integers(0, 2**16 - 1))
@settings(max_examples=60, deadline=None)
def test_written_formulas_read_back(rows):
    names = ("w", "l", "rw", "rl")
    assert formulas.parse(formulas.write(rows, names), names) == rows


@given(st.integers(1, 255), st.integers(1, 255))
@settings(max_examples=40, deadline=None)
def test_any_structure_survives_its_own_formulas(positive, negative):
    names = ("w", "l", "m")
    structure = Structure(names, positive, negative)
    assert (
        Structure.of(structure.core, structure.constraint, structure.additive, names) == structure
    )


def test_formulas_are_read_with_their_precedence():
    names = ("a", "b", "c")
    assert formulas.parse("a or b and c", names) == formulas.parse("a | (b & c)", names)
    assert formulas.parse("a -> b -> c", names) == formulas.parse("not (a and b) or c", names)
    assert formulas.parse("~a xor b", names) == formulas.parse("(not a) xor b", names)
    assert formulas.parse("true", ()) == 1
    for bad in ("a or", "(a", "a b", "d", "a ? b", ""):
        with pytest.raises(SettingError):
            formulas.parse(bad, names)
