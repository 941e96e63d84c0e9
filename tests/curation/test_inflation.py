import pytest
import torch

from counterpoint.curation.inflation import (
    STRONG,
    WEAK,
    disc_overlap,
    inflated_labels,
    inflated_rows,
    laplacian_eigenvalue,
    real_share,
    total_variation,
)
from counterpoint.errors import DataError, SettingError
from counterpoint.objectives import functional as F
from counterpoint.pairs import SameLabel, not_self


def test_real_data_repeated_generated_data_once():
    rows, new = inflated_rows(3, 2, 2)
    assert rows.tolist() == [0, 1, 2, 0, 1, 2, 3, 4]
    assert new.tolist() == [False] * 6 + [True] * 2
    assert inflated_labels(torch.tensor([7, 8, 9]), 2, 2).tolist() == [7, 8, 9, 7, 8, 9, -1, -1]
    assert inflated_rows(3, 0, 2)[0].tolist() == [0, 1, 2, 0, 1, 2]


def test_shares_of_the_paper():
    assert real_share(50_000, 1_000_000, 1) == pytest.approx(0.048, abs=5e-4)
    assert real_share(50_000, 1_000_000, 10) == pytest.approx(1 / 3)


def test_the_gap_shrinks_with_the_real_share():
    torch.manual_seed(0)
    p, q = torch.rand(2, 9, dtype=torch.float64)
    p, q = p / p.sum(), q / q.sum()
    beta = real_share(100, 300, 4)
    mixture = beta * p + (1 - beta) * q
    torch.testing.assert_close(total_variation(mixture, p), (1 - beta) * total_variation(q, p))
    assert total_variation(p, p) == 0


def test_connection_rises_with_strength_and_with_data():
    def connection(n, radius):
        values = []
        for seed in range(5):
            torch.manual_seed(seed)
            side = torch.where(torch.arange(n) % 2 == 0, -1.0, 1.0)
            points = 0.7**0.5 * torch.randn(n, 2, dtype=torch.float64)
            points[:, 0] += side
            values.append(laplacian_eigenvalue(disc_overlap(points, radius), 2))
        return sum(values) / 5

    rising = [connection(40, r) for r in (0.7, 1.0, 1.5, 2.2)]
    assert rising == sorted(rising)
    assert connection(40, 0.7) < connection(150, 0.7)


def test_two_views_by_id_are_nt_xent_and_weak_is_weaker():
    torch.manual_seed(0)
    z1, z2 = torch.randn(2, 5, 4)
    z, ids = torch.cat([z1, z2]), torch.arange(5).repeat(2)
    found = F.contrast(z, z, 0.2, positive=SameLabel(ids), valid=not_self, aggregate="log_sum")
    torch.testing.assert_close(found, F.nt_xent(z1, z2, 0.2))
    assert WEAK.crop > STRONG.crop
    assert WEAK.jitter < STRONG.jitter


def test_bad_numbers_are_refused():
    for wrong in ((0, 1, 1), (1, -1, 1), (1, 1, 0)):
        with pytest.raises(SettingError):
            inflated_rows(*wrong)
    with pytest.raises(DataError):
        total_variation(torch.tensor([1.0, -1.0]), torch.ones(2))
