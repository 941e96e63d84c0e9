"""Defined values at the edges, and what the errors say."""

import pytest
import torch

from counterpoint.errors import DataError, SettingError
from counterpoint.objectives import Temperature
from counterpoint.objectives import functional as F


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_a_hard_positive_keeps_its_gradient(dtype):
    anchors = torch.tensor([[1.0, 0.0], [0.6, 0.8]], dtype=dtype, requires_grad=True)
    far = torch.tensor([[-1.0, 0.0], [1.0, 0.0]], dtype=dtype, requires_grad=True)
    hard = F.info_nce(anchors, far, 0.07, reduction="none")[0]
    assert hard.item() == pytest.approx(2 / 0.07, rel=1e-4)
    near = torch.tensor([[-1.0, 0.3], [1.0, 0.1]], dtype=dtype, requires_grad=True)
    F.info_nce(anchors, near, 0.07, reduction="none")[0].backward()
    assert anchors.grad.abs().max() > 1
    assert near.grad.abs().max() > 1


@pytest.mark.parametrize("loss", [F.nt_xent, F.clip, F.info_nce, F.hard_contrastive])
def test_one_pair_has_no_negatives_and_loses_nothing(loss):
    x, y = torch.randn(1, 4, requires_grad=True), torch.randn(1, 4, requires_grad=True)
    value = loss(x, y)
    value.backward()
    assert value.item() == pytest.approx(0, abs=5e-6)
    assert x.grad.abs().max() < 1e-5


def test_one_pair_of_cwcl_loses_nothing():
    x, y = torch.randn(1, 4, dtype=torch.float64), torch.randn(1, 4, dtype=torch.float64)
    assert F.cwcl(x, y, x).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("loss", [F.dcl, F.dclw])
def test_one_sample_is_refused_where_it_has_no_meaning(loss):
    with pytest.raises(DataError, match="at least 2"):
        loss(torch.randn(1, 4), torch.randn(1, 4))


def test_decoupled_without_negatives_has_no_second_term():
    z1, z2 = torch.randn(3, 4), torch.randn(3, 4)
    ids = torch.zeros(3, dtype=torch.long)
    s = torch.cosine_similarity(z1, z2) / 0.1
    torch.testing.assert_close(F.dcl(z1, z2, 0.1, ids=ids), -s.mean())


def test_anchors_without_positives_are_left_out_with_a_warning():
    z = torch.randn(5, 4, requires_grad=True)
    labels = torch.tensor([0, 0, 1, -1, -1])
    with pytest.warns(UserWarning, match="left out"):
        loss = F.supcon(z, labels)
    with pytest.warns(UserWarning, match="left out"):
        values = F.supcon(z, labels, reduction="none")
    assert (values[2:] == 0).all()
    torch.testing.assert_close(loss, values[:2].mean())


@pytest.mark.parametrize("labels", [torch.arange(4), torch.full((4,), -1)])
def test_no_positive_at_all_gives_zero_and_no_gradient(labels):
    z = torch.randn(4, 3, requires_grad=True)
    with pytest.warns(UserWarning, match="left out"):
        loss = F.supcon(z, labels)
    loss.backward()
    assert loss.item() == 0
    assert (z.grad == 0).all()


def test_labels_of_one_class():
    z = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    s = torch.nn.functional.normalize(z) @ torch.nn.functional.normalize(z).T / 0.1
    s = s.fill_diagonal_(0)
    total = s.masked_fill(torch.eye(4, dtype=torch.bool), -torch.inf).logsumexp(1)
    torch.testing.assert_close(
        F.supcon(z, torch.zeros(4, dtype=torch.long)), (total - s.sum(1) / 3).mean()
    )


@pytest.mark.parametrize(
    "labels", [torch.zeros(3, dtype=torch.long), torch.zeros(4, 1, dtype=torch.long), torch.rand(4)]
)
def test_labels_that_do_not_fit_are_refused(labels):
    with pytest.raises(DataError, match="labels"):
        F.supcon(torch.randn(4, 3), labels)


def test_sizes_that_differ_are_named():
    with pytest.raises(DataError, match="z1 has 4 rows and z2 has 5"):
        F.nt_xent(torch.randn(4, 3), torch.randn(5, 3))
    with pytest.raises(DataError, match="similarity has 3"):
        F.cwcl(torch.randn(4, 3), torch.randn(4, 3), torch.randn(3, 3))
    with pytest.raises(DataError, match="negative_ids"):
        F.info_nce(
            torch.randn(4, 3),
            torch.randn(4, 3),
            negatives=torch.randn(5, 3),
            ids=torch.arange(4),
            negative_ids=torch.arange(4),
        )


def test_settings_out_of_range_are_refused():
    x = torch.randn(4, 3)
    with pytest.raises(SettingError, match="negatives"):
        F.info_nce(x, x, in_batch=False)
    for alpha in (0, 1.5, float("nan")):
        with pytest.raises(SettingError, match="alpha"):
            F.hard_contrastive(x, x, alpha=alpha)
    with pytest.raises(SettingError, match="sigma"):
        F.dclw(x, x, sigma=0)
    with pytest.raises(SettingError, match="aggregate"):
        F.contrast(x, x, aggregate="median")


def test_features_of_cwcl_must_be_sound():
    x = torch.randn(4, 3)
    with pytest.raises(DataError, match="NaN"):
        F.cwcl(x, x, torch.full((4, 2), torch.nan))
    with pytest.raises(DataError, match="floats"):
        F.cwcl(x, x, torch.ones(4, 2, dtype=torch.long))


def test_unnormalised_inputs_of_any_length():
    x, y = 30 * torch.randn(6, 4), 30 * torch.randn(6, 4)
    dense = torch.nn.functional.cross_entropy(x @ y.T / 0.1, torch.arange(6))
    torch.testing.assert_close(F.info_nce(x, y, 0.1, normalize=False), dense)


def test_temperature_comes_back_from_its_bound():
    helper = Temperature(0.02, lowest=0.01)
    with torch.no_grad():
        helper.log_scale.fill_(100.0)
    value = helper()
    assert value.item() == pytest.approx(0.01, rel=1e-5)
    value.backward()
    assert helper.log_scale.grad.item() == pytest.approx(-0.01, rel=1e-5)
    with pytest.raises(SettingError, match="lowest"):
        Temperature(0.001)
