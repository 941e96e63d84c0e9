"""Settings combine freely: every objective of the softmax family against one dense formula.

Each of them with and without ``decoupled``, with duplicates, with a temperature that is a number,
learnable or of each row, and on rows that are mixtures. Where a setting makes no sense, the error
says why.
"""

from __future__ import annotations

from dataclasses import dataclass
from inspect import Parameter, signature
from itertools import product

import pytest
import torch
from examples import accepts, examples
from torch import nn
from torch.nn.functional import normalize

from counterpoint import objectives
from counterpoint.engine.checks import ONE_TEMPERATURE
from counterpoint.errors import DataError, SettingError
from counterpoint.objectives import functional as F
from counterpoint.objectives import registered
from counterpoint.objectives.combinations import ORTHOGONAL, WHY
from counterpoint.pairs.mixing import draw_beta, draw_mixtures, hardest_rows, mix

N, D = 6, 4
LABELS = torch.tensor([0, 0, 1, 1, 2, 0])
IDS = torch.tensor([0, 1, 0, 2, 3, 3])
SIMILARITY = torch.randn(N, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(7))

CAPTIONS = torch.zeros(N, 3, 5, dtype=torch.float64), torch.ones(N, 3, dtype=torch.long)

pytestmark = pytest.mark.filterwarnings("ignore:Some anchors have no positive")


@dataclass
class Way:
    """One direction of a loss as dense matrices.

    Attributes:
        anchors: unit rows ``(n, D)``.
        candidates: unit rows ``(m, D)``.
        positive: weight of every pair as a positive ``(n, m)``.
        itself: pairs of a row with itself ``(n, m)``.
        same: pairs that show the same thing by their ids ``(n, m)``.
    """

    anchors: torch.Tensor
    candidates: torch.Tensor
    positive: torch.Tensor
    itself: torch.Tensor
    same: torch.Tensor

    def loss(self, temperature, decoupled, soft=False):
        logits = self.anchors @ self.candidates.T / temperature
        positive = self.positive.masked_fill(self.itself, 0)
        mine = positive > 0
        left_out = self.itself | (self.same & (True if soft else ~mine))
        left_out = left_out | (mine if decoupled else torch.zeros_like(mine))
        total = logits.masked_fill(left_out, -torch.inf).logsumexp(1)
        total = total.where(~left_out.all(1), 0.0)
        counted = mine.any(1)
        pull = (positive * logits).sum(1) / positive.sum(1).clamp(min=1e-30)
        return (total - pull)[counted]


def diagonal(a, c, ids, more=None, more_ids=None):
    """Row i's positive is candidate i; further candidates are negatives of all."""
    n, extra = len(a), 0 if more is None else len(more)
    candidates = c if more is None else torch.cat([c, more])
    positive = torch.eye(n, n + extra, dtype=a.dtype)
    of_candidates = None if ids is None else ids
    if more is not None and ids is not None:
        of_candidates = torch.cat([ids, more_ids])
    same = torch.zeros(n, n + extra, dtype=torch.bool)
    if ids is not None:
        same = ids[:, None] == of_candidates
    return Way(a, candidates, positive, torch.zeros_like(same), same)


def both_ways(x, y, ids):
    return [diagonal(x, y, ids), diagonal(y, x, ids)]


def two_views(z1, z2, ids):
    both, n = torch.cat([z1, z2]), len(z1)
    place = torch.arange(2 * n)
    positive = ((place[:, None] - place).abs() == n).to(both.dtype)
    ids = None if ids is None else ids.repeat(2)
    same = torch.zeros(2 * n, 2 * n, dtype=torch.bool) if ids is None else ids[:, None] == ids
    return Way(both, both, positive, torch.eye(2 * n, dtype=torch.bool), same)


def by_label(z, ids):
    itself = torch.eye(len(z), dtype=torch.bool)
    same = torch.zeros_like(itself) if ids is None else ids[:, None] == ids
    positive = (LABELS[:, None] == LABELS).to(z.dtype)
    return Way(z, z, positive, itself, same)


def soft(x, y, ids):
    features = normalize(SIMILARITY, dim=1)
    weight = (features @ features.T + 1) / 2
    ways = both_ways(x, y, ids)
    ways[0].positive = weight
    return ways


def mean(ways, t, decoupled):
    return torch.stack([way.loss(t, decoupled).mean() for way in ways]).mean()


def total(ways, t, decoupled):
    return torch.stack([way.loss(t, decoupled).mean() for way in ways]).sum()


def grouped(x, y, ids, t, decoupled):
    halves = []
    for rows in (slice(0, 3), slice(3, 6)):
        own = t[rows] if t.numel() > 1 else t
        ways = both_ways(x[rows], y[rows], None if ids is None else ids[rows])
        halves.append(mean(ways, own, decoupled))
    return sum(halves) / 2


BANK = normalize(torch.randn(5, D, dtype=torch.float64, generator=torch.Generator().manual_seed(8)))
BANK_IDS = torch.tensor([0, 9, 3, 9, 7])


def banked(ids):
    return {"negatives": BANK} | ({} if ids is None else {"negative_ids": BANK_IDS})


def with_bank(x, y, ids):
    return diagonal(x, y, ids, BANK, BANK_IDS)


# name -> how it is called, its dense value, and how many anchors have a temperature
CASES = {
    "amcl": (
        lambda x, y, t, ids, **more: F.amcl(x, y, t, ids=ids, **more),
        lambda x, y, ids, t, d: two_views(x, y, ids).loss(t, d).mean(),
        2 * N,
    ),
    "clip": (
        lambda x, y, t, ids, **more: F.clip(x, y, t, ids=ids, **more),
        lambda x, y, ids, t, d: mean(both_ways(x, y, ids), t, d),
        N,
    ),
    "coca": (
        lambda x, y, t, ids, **more: F.coca(x, y, *CAPTIONS, t, caption_weight=0.0, ids=ids),
        lambda x, y, ids, t, d: mean(both_ways(x, y, ids), t, d),
        N,
    ),
    "contrast": (
        lambda x, y, t, ids, **more: F.contrast(x, y, t, ids=ids, **more),
        lambda x, y, ids, t, d: diagonal(x, y, ids).loss(t, d).mean(),
        N,
    ),
    "dcl": (
        lambda x, y, t, ids, **more: F.dcl(x, y, t, ids=ids, **more),
        lambda x, y, ids, t, d: two_views(x, y, ids).loss(t, True).mean(),
        2 * N,
    ),
    "cwcl": (
        lambda x, y, t, ids, **more: F.cwcl(x, y, SIMILARITY, t, ids=ids, **more),
        lambda x, y, ids, t, d: dense_cwcl(x, y, ids, t),
        N,
    ),
    "esimcse": (
        lambda x, y, t, ids, **more: F.esimcse(
            x, y, BANK, t, ids=ids, queue_ids=None if ids is None else BANK_IDS, **more
        ),
        lambda x, y, ids, t, d: with_bank(x, y, ids).loss(t, d).mean(),
        N,
    ),
    "grouped_clip": (
        lambda x, y, t, ids, **more: F.grouped_clip(x, y, t, groups=2, ids=ids, **more),
        grouped,
        N,
    ),
    "hard_contrastive": (
        lambda x, y, t, ids, **more: F.hard_contrastive(
            x, y, t, alpha=1.0, ids=ids, **banked(ids), **more
        ),
        lambda x, y, ids, t, d: with_bank(x, y, ids).loss(t, d).mean(),
        N,
    ),
    "info_nce": (
        lambda x, y, t, ids, **more: F.info_nce(x, y, t, ids=ids, **banked(ids), **more),
        lambda x, y, ids, t, d: with_bank(x, y, ids).loss(t, d).mean(),
        N,
    ),
    "mnr": (
        lambda x, y, t, ids, **more: F.mnr(x, y, t, normalize=True, ids=ids, **more),
        lambda x, y, ids, t, d: diagonal(x, y, ids).loss(t, d).mean(),
        N,
    ),
    "mnr_plus": (
        lambda x, y, t, ids, **more: F.mnr_plus(x, y, t, normalize=True, ids=ids, **more),
        lambda x, y, ids, t, d: mean(both_ways(x, y, ids), t, d),
        N,
    ),
    "nt_xent": (
        lambda x, y, t, ids, **more: F.nt_xent(x, y, t, ids=ids, **more),
        lambda x, y, ids, t, d: two_views(x, y, ids).loss(t, d).mean(),
        2 * N,
    ),
    "region_clip": (
        lambda x, y, t, ids, **more: F.region_clip(x[:, None], y, t, ids=ids, **more),
        lambda x, y, ids, t, d: mean(both_ways(x, y, ids), t, d),
        N,
    ),
    "supcon": (
        lambda x, y, t, ids, **more: F.supcon(x, LABELS, t, ids=ids, **more),
        lambda x, y, ids, t, d: dense_supcon(x, ids, t, d),
        N,
    ),
    "whitenedcse": (
        lambda x, y, t, ids, **more: F.whitenedcse(x, y, y.flip(1), temperature=t, ids=ids, **more),
        lambda x, y, ids, t, d: total(
            [diagonal(x, y, ids), diagonal(x, y.flip(1), ids)], t, d
        ),
        N,
    ),
}  # fmt: skip


def dense_cwcl(x, y, ids, t):
    along, down = soft(x, y, ids)
    only = torch.eye(N, dtype=torch.bool)
    along.same = along.same & ~only
    return along.loss(t, False, soft=True).mean() + down.loss(t, False).mean()


def dense_supcon(x, ids, t, decoupled):
    way = by_label(x, ids)
    counted = (way.positive - torch.eye(N, dtype=x.dtype)).sum(1) > 0
    logits = way.anchors @ way.candidates.T / t
    mine = (way.positive > 0) & ~way.itself
    left_out = way.itself | (way.same & ~mine) | (mine if decoupled else torch.zeros_like(mine))
    sums = logits.masked_fill(left_out, -torch.inf).logsumexp(1)
    pull = logits.where(mine, 0.0).sum(1) / mine.sum(1).clamp(min=1)
    return (sums.where(~left_out.all(1), 0.0) - pull)[counted].mean()


def draw(mixed):
    torch.manual_seed(3)
    x, y = (torch.randn(N, D, dtype=torch.float64).requires_grad_() for _ in range(2))
    if not mixed:
        return (x, y), (x, y)
    share = draw_beta(2.0, (N, 1), x, torch.Generator().manual_seed(1))
    return (x, y), (mix(x, x.roll(1, 0), share), mix(y, y.roll(1, 0), share, unit=True))


def temperatures(kind, rows):
    if kind == "number":
        return 0.3, torch.tensor(0.3, dtype=torch.float64)
    found = torch.tensor(0.3, dtype=torch.float64)
    if kind == "rows":
        found = torch.linspace(0.2, 0.6, rows, dtype=torch.float64)
    return found.requires_grad_(), found


def column(t):
    return t[:, None] if t.dim() else t


@pytest.mark.parametrize("name", CASES)
def test_every_combination_equals_the_dense_formula(name):
    call, dense, rows = CASES[name]
    taken = signature(getattr(F, name)).parameters
    compared = 0
    for decoupled, kind, ids, mixed in product(
        (False, True), ("number", "learnt", "rows"), (None, IDS), (False, True)
    ):
        if "decoupled" not in taken and decoupled:
            continue
        leaves, (x, y) = draw(mixed)
        given, t = temperatures(kind, rows)
        more = {"decoupled": decoupled} if "decoupled" in taken else {}
        found = call(x, y, given, ids, **more)
        want = dense(normalize(x, dim=1), normalize(y, dim=1), ids, column(t), decoupled)
        what = f"{name}, decoupled={decoupled}, {kind}, ids={ids is not None}, mixed={mixed}"
        torch.testing.assert_close(found, want, msg=what)
        used = [*leaves, *([given] if torch.is_tensor(given) else [])]
        pair = [
            torch.autograd.grad(loss, used, retain_graph=True, materialize_grads=True)
            for loss in (found, want)
        ]
        for a, b in zip(*pair, strict=True):
            torch.testing.assert_close(a, b, msg=what)
        compared += 1
    assert compared == (24 if "decoupled" in taken else 12)


def test_every_objective_that_takes_decoupled_is_compared():
    takes = {one.name for one in registered() if "decoupled" in signature(one.function).parameters}
    assert takes <= set(CASES)


@pytest.mark.parametrize("setting", ORTHOGONAL)
def test_an_objective_takes_a_setting_or_says_why_not(setting):
    for one in registered():
        if setting in signature(one.function).parameters:
            continue
        with pytest.raises(SettingError, match=f"{one.name} takes no {setting}=: .{{40}}"):
            one.function(**{setting: None})


BY_NAME = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)


def call_unmade(module, **keywords):
    """The refusal of a call's keywords, which needs no state."""
    return module.__new__(module)(**keywords)


@pytest.mark.parametrize("one", registered(), ids=lambda one: one.name)
def test_a_module_refuses_a_keyword_with_the_reason_the_place_or_the_nearest_name(one):
    made, called, by_function = (
        {x.name for x in signature(f).parameters.values() if x.kind in BY_NAME} - {"self"}
        for f in (one.module.__init__, one.module.forward, one.function)
    )
    name = one.module.__name__
    for use in (one.module, lambda **given: call_unmade(one.module, **given)):
        for setting in ORTHOGONAL.keys() - made - called - by_function:
            with pytest.raises(SettingError, match=f"{one.name} takes no {setting}=: .{{40}}"):
                use(**{setting: None})
        for setting in by_function - made - called:
            with pytest.raises(SettingError, match=f"{name} takes no {setting}=; the function"):
                use(**{setting: None})
        with pytest.raises(SettingError, match=f"Unknown argument of {one.name} 'colour'"):
            use(colour=1)
    for setting in made - called:
        with pytest.raises(SettingError, match=f"{name} takes {setting}= when it is made, not"):
            call_unmade(one.module, **{setting: None})
    for setting in called - made:
        with pytest.raises(SettingError, match=f"{name} takes {setting}= when it is called, not"):
            one.module(**{setting: None})


def test_a_misspelt_keyword_is_refused_with_the_nearest():
    x, y = torch.randn(2, 4, 3)
    for use in (F.nt_xent, objectives.NTXent(), lambda x, y, **more: objectives.NTXent(**more)):
        with pytest.raises(SettingError, match="Did you mean temperature"):
            use(x, y, temperatur=0.1)


def test_reasons_speak_of_objectives_that_exist_and_refuse():
    taken = {one.name: signature(one.function).parameters for one in registered()}
    for setting, reasons in WHY.items():
        assert setting in ORTHOGONAL
        for name in [name for names in reasons.values() for name in names]:
            assert setting not in taken[name], f"{name} takes {setting} and is refused it"


@pytest.mark.parametrize("name", ["amcl", "hard_contrastive", "info_nce"])
def test_mixtures_are_further_columns_of_whatever_takes_negatives(name):
    _, (x, y) = draw(False)
    hard = hardest_rows(normalize(x, dim=1), BANK, 3)
    mixtures = draw_mixtures(hard, 2, 1, x, torch.Generator().manual_seed(0))
    points = mixtures.points(normalize(x, dim=1).detach(), BANK).flatten(0, 1)
    columns = torch.cat([BANK, normalize(points, dim=1)])
    options = {"alpha": 1.0} if name == "hard_contrastive" else {}
    if name != "amcl":
        options["in_batch"] = False
    if name == "amcl":
        options["decoupled"] = False
    found = getattr(F, name)(x, y, 0.3, negatives=columns, **options)
    u, v = normalize(x, dim=1), normalize(y, dim=1)
    own = torch.linalg.vecdot(u, v)[:, None] / 0.3
    want = torch.cat([own, u @ columns.T / 0.3], 1).logsumexp(1) - own[:, 0]
    torch.testing.assert_close(found, want.mean())


@pytest.mark.parametrize("name", ["clip", "info_nce", "mnr", "mnr_plus", "nt_xent"])
def test_a_single_sample_is_refused_where_nothing_would_be_left(name):
    x, y = torch.randn(2, 1, D)
    with pytest.raises(DataError, match="at least 2"):
        getattr(F, name)(x, y, decoupled=True)


def test_decoupled_is_the_other_objective():
    (x, y), _ = draw(False)
    torch.testing.assert_close(F.nt_xent(x, y, 0.3, decoupled=True), F.dcl(x, y, 0.3))
    labels = torch.arange(N)
    both = F.supcon(torch.cat([x, y]), labels.repeat(2), 0.3, decoupled=True)
    torch.testing.assert_close(both, F.dcl(x, y, 0.3))
    with pytest.raises(SettingError, match="self_similarity"):
        F.mnr_plus(x, y, targets="self_similarity", decoupled=True)


def test_modules_take_it_too():
    (x, _), _ = draw(False)
    for one in registered():
        if "decoupled" not in signature(one.function).parameters or one.name == "supcon":
            continue
        assert "decoupled" in signature(one.module.__init__).parameters, one.name
    found = objectives.SupCon(0.3, decoupled=True)(x, LABELS)
    torch.testing.assert_close(found, F.supcon(x, LABELS, 0.3, decoupled=True))
    assert isinstance(objectives.NTXent(nn.Parameter(torch.tensor(0.3)), decoupled=True), nn.Module)


def test_a_temperature_of_each_row_is_that_of_the_row_or_refused_with_the_reason():
    compared = 0
    for one in registered():
        if not accepts(one, "temperature") or one.name == "fopro":  # one a class
            continue
        example = examples(one, 8)[0]
        want = example(temperature=0.3)
        found = [of_rows(example, rows) for rows in (8, 16)]
        alike = [value for value in found if isinstance(value, torch.Tensor)]
        for value in alike:
            torch.testing.assert_close(value, want, msg=one.name)
        refused = [str(value) for value in found if isinstance(value, SettingError)]
        assert len(alike) + len(refused) == 2, f"{one.name}: {found}"
        if not alike:
            reasons = ONE_TEMPERATURE, "one temperature for all"
            assert all(any(r in message for r in reasons) for message in refused), refused
        compared += bool(alike)
    assert compared > 50


def of_rows(example, rows):
    try:
        return example(temperature=torch.full((rows,), 0.3, dtype=torch.float64))
    except Exception as error:
        return error


@pytest.mark.parametrize("name", ["kd", "dkd"])
def test_distillation_at_a_temperature_of_each_row(name):
    torch.manual_seed(0)
    student, teacher = torch.randn(2, 4, 4, dtype=torch.float64)
    t = torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64)
    labels = [] if name == "kd" else [torch.tensor([0, 1, 3, 2])]
    function = getattr(F, name)
    found = function(student, teacher, *labels, temperature=t, reduction="none")
    for i in range(4):
        one = [x[i : i + 1] for x in (student, teacher, *labels)]
        torch.testing.assert_close(found[i], function(*one, temperature=float(t[i])))
