"""Generated images are made once, piece by piece; joined images come in order."""

import pytest
import torch

from counterpoint.data.generated import Joined, generated_images
from counterpoint.data.items import Chosen, ImageStack


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("COUNTERPOINT_CACHE", str(tmp_path))


def images(rows):
    return torch.tensor(rows).remainder(256).to(torch.uint8)[:, None, None, None]


def test_a_killed_job_goes_on_after_its_last_whole_piece():
    made, told = [], []

    def dying(rows):
        if rows.start >= 512:
            raise KeyboardInterrupt
        made.append(rows)
        return images(rows)

    with pytest.raises(KeyboardInterrupt):
        generated_images("k", 600, dying)

    def rest(rows):
        made.append(rows)
        return images(rows)

    found = generated_images("k", 600, rest, told.append)
    assert made == [range(256), range(256, 512), range(512, 600)]
    assert torch.equal(found, images(range(600)))
    assert found.dtype == torch.uint8
    assert [(event.done, event.total) for event in told] == [(256, 600), (512, 600), (600, 600)]
    assert torch.equal(generated_images("k", 600, None), found)


def test_another_key_is_made_anew_and_a_damaged_piece_too(tmp_path):
    generated_images("k", 3, images)
    flipped = generated_images("other", 3, lambda rows: images(rows) + 100)
    assert flipped[0] == 100
    for file in tmp_path.rglob("*.npz"):
        file.write_bytes(file.read_bytes()[:20])
    assert torch.equal(generated_images("k", 3, images), images(range(3)))


def test_joined_images_one_by_one_and_gathered():
    first = Chosen(ImageStack(images(range(10))), torch.tensor([3, 5]))
    joined = Joined(first, ImageStack(images(range(20, 23))))
    assert [int(joined[i]) for i in range(len(joined))] == [3, 5, 20, 21, 22]
    rows = torch.tensor([4, 0, 2, 0, 1])
    assert joined.gather(rows).flatten().tolist() == [22, 3, 20, 3, 5]
    assert joined.gather(torch.tensor([1, 0])).flatten().tolist() == [5, 3]
    assert [int(image) for image in joined[1:4]] == [5, 20, 21]
