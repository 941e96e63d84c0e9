import torch

from counterpoint.claims._pilot import Pilot, digits, embed, train, view

SHORT = Pilot(batch=16, steps=3, optimiser="sgd", lr=0.01)


def distance(z1: torch.Tensor, z2: torch.Tensor, progress: float) -> torch.Tensor:
    return (z1 - z2).square().mean()


def test_runs_of_one_seed_see_equal_weights_batches_and_views() -> None:
    seen: list[list[torch.Tensor]] = [[], []]

    def recording(into: list[torch.Tensor]):
        def loss(z1: torch.Tensor, z2: torch.Tensor, progress: float) -> torch.Tensor:
            into.append(torch.cat([z1, z2]).detach())
            return 0 * z1.sum()

        return loss

    for into in seen:
        train(SHORT, recording(into), seed=5)
    assert all(torch.equal(a, b) for a, b in zip(*seen, strict=True))
    other: list[torch.Tensor] = []
    train(SHORT, recording(other), seed=6)
    assert not torch.equal(seen[0][0], other[0])


def test_training_lowers_the_loss_and_leaves_the_global_generator_alone() -> None:
    values: list[float] = []

    def loss(z1: torch.Tensor, z2: torch.Tensor, progress: float) -> torch.Tensor:
        value = distance(z1, z2, progress)
        values.append(value.item())
        return value

    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    model = train(Pilot(batch=64, steps=60, optimiser="adam", lr=1e-3), loss, seed=0)
    assert torch.equal(torch.rand(1), expected)
    assert sum(values[-10:]) < 0.7 * sum(values[:10])
    assert embed(model, digits().test).shape == (len(digits().test_labels), 64)


def test_views_shift_by_at_most_one_pixel() -> None:
    quiet = Pilot(batch=1, steps=1, optimiser="sgd", lr=0.1, noise=0.0)
    image = torch.zeros(1, 1, 8, 8)
    image[0, 0, 3, 5] = 1
    torch.manual_seed(0)
    views = view(image.expand(300, -1, -1, -1), quiet)
    assert views.sum() == 300
    places = {tuple(place) for place in views[:, 0].nonzero()[:, 1:].tolist()}
    assert places == {(row, column) for row in (2, 3, 4) for column in (4, 5, 6)}
