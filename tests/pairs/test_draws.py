import torch

from counterpoint.pairs.draws import draw_places


def test_draws_follow_the_probabilities_and_replay():
    p = torch.tensor([[0.2, 0.0, 1.2, 0.6]])
    point = torch.tensor([0.05, 0.1, 0.69, 0.71, 0.9999])
    assert draw_places(p.expand(5, 4), draws=point).tolist() == [0, 2, 2, 3, 3]
    many = draw_places(p.expand(5000, 4), generator=torch.Generator().manual_seed(0))
    share = torch.bincount(many, minlength=4) / 5000
    torch.testing.assert_close(share, p[0] / 2, atol=0.02, rtol=0)
