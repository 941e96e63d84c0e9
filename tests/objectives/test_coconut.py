"""COCONUT against a plain loop, supervised contrast and CLIP."""

import math
import warnings

import pytest
import torch

from counterpoint.errors import DataError, SettingError
from counterpoint.objectives import NSPT, CoconutAlignment
from counterpoint.objectives.clip import clip
from counterpoint.objectives.coconut import coconut_alignment, nspt
from counterpoint.objectives.info_nce import info_nce
from counterpoint.objectives.supcon import supcon


def draw(rows=9):
    torch.manual_seed(rows)
    student, teacher = torch.randn(2, rows, 4, dtype=torch.float64)
    labels = torch.tensor([0, 1, 0, 2, 1, 0, 2, 3, 4])[:rows]
    rehearsal = torch.tensor([1, 0, 1, 0, 1, 1, 0, 1, 1]).bool()[:rows]
    return student.requires_grad_(), teacher.requires_grad_(), labels, rehearsal


def slow(student, teacher, labels, rehearsal, t, teacher_negatives, self_positive, with_self):
    a, old = (torch.nn.functional.normalize(x) for x in (student, teacher.detach()))
    candidates = old if teacher_negatives else a
    terms = []
    for k in rehearsal.nonzero().flatten().tolist():
        positives = [
            p
            for p in rehearsal.nonzero().flatten().tolist()
            if labels[p] == labels[k] and (self_positive or p != k)
        ]
        if not positives:
            continue
        low = sum((a[k] @ candidates[i] / t).exp() for i in range(len(a)) if with_self or i != k)
        terms.append(-sum(a[k] @ old[p] / t - low.log() for p in positives) / len(positives))
    return sum(terms) / len(terms)


@pytest.mark.filterwarnings("ignore:Some anchors")
@pytest.mark.parametrize("denominator", ["student", "teacher"])
@pytest.mark.parametrize("self_positive", [True, False])
@pytest.mark.parametrize("with_self", [None, True, False])
def test_equals_the_loop(denominator, self_positive, with_self):
    student, teacher, labels, rehearsal = draw()
    loss = nspt(
        student,
        teacher,
        labels,
        rehearsal,
        0.3,
        denominator=denominator,
        self_positive=self_positive,
        self_in_denominator=with_self,
    )
    use_self = denominator == "teacher" if with_self is None else with_self
    want = slow(
        student, teacher, labels, rehearsal, 0.3, denominator == "teacher", self_positive, use_self
    )
    torch.testing.assert_close(loss, want)
    torch.testing.assert_close(
        torch.autograd.grad(loss, student), torch.autograd.grad(want, student)
    )


def test_derivatives_numerically():
    student, teacher, labels, rehearsal = draw()
    t = torch.linspace(0.2, 0.9, 9, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda a, b, t: nspt(a, b, labels, rehearsal, t, detach_teacher=False),
        (student, teacher, t),
    )


def test_is_supervised_contrast_when_all_is_rehearsed_and_the_teacher_is_the_student():
    z, _, _, _ = draw(8)
    labels = torch.arange(8) % 3
    everything = torch.ones(8, dtype=torch.bool)
    loss = nspt(z, z, labels, everything, self_positive=False, detach_teacher=False)
    want = supcon(z, labels, 0.1)
    torch.testing.assert_close(loss, want)
    torch.testing.assert_close(torch.autograd.grad(loss, z), torch.autograd.grad(want, z))


def test_only_the_rehearsed_are_anchors_but_current_samples_are_pushed():
    student, teacher, labels, rehearsal = draw()
    terms = nspt(student, teacher, labels, rehearsal, reduction="none")
    assert (terms[~rehearsal] == 0).all()
    torch.testing.assert_close(
        terms.sum() / rehearsal.sum(), nspt(student, teacher, labels, rehearsal)
    )
    terms.sum().backward()
    assert (student.grad[~rehearsal].norm(dim=1) > 0).all()
    assert teacher.grad is None


def test_no_memory_gives_zero_and_a_lone_class_is_skipped():
    student, teacher, labels, rehearsal = draw()
    loss = nspt(student, teacher, labels, rehearsal & False)
    assert loss == 0
    assert (torch.autograd.grad(loss, student)[0] == 0).all()
    assert nspt(student[:1], teacher[:1], labels[:1], rehearsal[:1]) == 0
    alone = torch.arange(9) == 7
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert nspt(student, teacher, labels, alone, self_positive=False) == 0


def test_lower_bound_and_zero_vectors():
    teacher = torch.tensor([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]])
    loss = nspt(
        teacher * torch.tensor([[1.0], [-1.0], [1.0]]),
        teacher,
        torch.tensor([0, 1, 1]),
        torch.tensor([True, False, False]),
    )
    assert loss.item() == pytest.approx(math.log(2) - 2 / 0.1, abs=1e-4)
    zero = torch.zeros(3, 2, requires_grad=True)
    nspt(zero, teacher, torch.zeros(3).long(), torch.ones(3).bool()).backward()
    assert torch.isfinite(zero.grad).all()


def test_alignment_is_clip_of_the_current_samples():
    audio, text, _, rehearsal = draw()
    kept = ~rehearsal
    torch.testing.assert_close(
        coconut_alignment(audio, text, rehearsal=rehearsal), clip(audio[kept], text[kept], 0.1)
    )
    torch.testing.assert_close(
        coconut_alignment(audio, text, rehearsal=rehearsal, symmetric=False),
        info_nce(audio[kept], text[kept], 0.1),
    )
    torch.testing.assert_close(
        coconut_alignment(audio, text, rehearsal=rehearsal, samples="all"), clip(audio, text, 0.1)
    )
    t = torch.linspace(0.1, 0.9, 9, dtype=torch.float64)
    ids = torch.tensor([0, 1, 0, 1, 2, 3, 4, 5, 6])
    rows = coconut_alignment(audio, text, t, rehearsal=rehearsal, ids=ids, reduction="none")
    torch.testing.assert_close(
        rows[kept], clip(audio[kept], text[kept], t[kept], ids=ids[kept], reduction="none")
    )
    assert (rows[rehearsal] == 0).all()
    assert coconut_alignment(audio, text, rehearsal=rehearsal | True) == 0


def test_modules_and_bad_input():
    student, teacher, labels, rehearsal = draw()
    assert torch.equal(
        NSPT(0.2, denominator="teacher")(student, teacher, labels, rehearsal),
        nspt(student, teacher, labels, rehearsal, 0.2, denominator="teacher"),
    )
    assert torch.equal(
        CoconutAlignment()(student, teacher, rehearsal=rehearsal),
        coconut_alignment(student, teacher, rehearsal=rehearsal),
    )
    with pytest.raises(DataError, match="bool"):
        nspt(student, teacher, labels, rehearsal.long())
    with pytest.raises(DataError, match="rows"):
        nspt(student, teacher[:4], labels, rehearsal)
    with pytest.raises(SettingError, match="denominator"):
        nspt(student, teacher, labels, rehearsal, denominator="both")
    with pytest.raises(SettingError, match="samples"):
        coconut_alignment(student, teacher, samples="old")


def test_what_is_kept_for_backward_grows_with_the_rows():
    kept = []
    for rows in (128, 512):
        x, y = torch.randn(2, rows, 8, requires_grad=True)
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda t, sizes=sizes: sizes.append(t.numel()) or t, lambda t: t
        ):
            nspt(x, y, torch.arange(rows) % 5, torch.arange(rows) % 3 == 0)
        kept.append(sum(sizes))
    assert kept[1] < 4.2 * kept[0]
