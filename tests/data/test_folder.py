import numpy as np
import pytest
import torch

from counterpoint.data import folder, images
from counterpoint.errors import DataError

Image = pytest.importorskip("PIL.Image")


class Maker:
    """Writes pictures below a root, each of other random pixels."""

    def __init__(self, root):
        self.root, self.rng = root, np.random.default_rng(0)

    def __call__(self, *names, shape=(20, 20, 3)):
        for name in names:
            file = self.root / name
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(self.rng.integers(0, 256, shape, dtype=np.uint8)).save(file)


@pytest.fixture
def make(tmp_path):
    return Maker(tmp_path)


def where(data):
    return {problem.where for problem in data.problems}


def test_a_folder_a_class(make, tmp_path):
    make(*(f"{c}/{i}.png" for c in ("cat", "dog") for i in range(10)))
    data = folder.load(tmp_path)
    assert data.classes == ("cat", "dog")
    assert (data.channels, data.size, data.mirror) == (3, 32, True)
    assert (len(data.train), len(data.test)) == (16, 4)
    assert data.test.labels.bincount().tolist() == [2, 2]
    assert data.problems == ()
    for name, label in zip(data.train.names, data.train.labels.tolist(), strict=True):
        assert name.startswith(data.classes[label])


def test_flat_folder_is_unlabelled(make, tmp_path):
    make(*(f"{i}.png" for i in range(10)), shape=(20, 20))
    data = folder.load(tmp_path)
    assert data.classes == ()
    assert data.train.labels is None
    assert not data.labelled
    assert (data.channels, data.mirror) == (1, False)
    assert (len(data.train), len(data.test)) == (8, 2)


def test_one_folder_inside_is_unlabelled(make, tmp_path):
    make(*(f"images/{i}.png" for i in range(4)))
    assert folder.load(tmp_path).train.labels is None


def test_deeper_folders_belong_to_the_first_level(make, tmp_path):
    make("a/x/1.png", "a/y/z/2.png", "a/3.png", "b/1.png", "b/2.png")
    data = folder.load(tmp_path, test_share=0)
    assert data.train.names == ["a/3.png", "a/x/1.png", "a/y/z/2.png", "b/1.png", "b/2.png"]
    assert data.train.labels.tolist() == [0, 0, 0, 1, 1]


def test_same_names_in_different_classes_stay_apart(make, tmp_path):
    make("a/1.png", "b/1.png", "a/1.jpg")
    data = folder.load(tmp_path, test_share=0)
    assert data.train.names == ["a/1.jpg", "a/1.png", "b/1.png"]


def test_links_are_followed_and_circles_are_not(make, tmp_path):
    make("real/1.png", "real/2.png", "data/b/1.png")
    (tmp_path / "data" / "a").symlink_to(tmp_path / "real")
    (tmp_path / "data" / "b" / "circle").symlink_to(tmp_path / "data")
    data = folder.load(tmp_path / "data", test_share=0)
    assert data.train.names == ["a/1.png", "a/2.png", "b/1.png"]


def test_class_with_one_image_is_learnt_from(make, tmp_path):
    make("rare/1.png", *(f"common/{i}.png" for i in range(5)))
    data = folder.load(tmp_path)
    assert "rare/1.png" in data.train.names
    assert len(data.test) == 1


@pytest.mark.parametrize("held", ["test", "val", "Validation"])
def test_the_folders_own_split(make, tmp_path, held):
    make("train/a/1.png", "train/b/1.png", "train/b/2.png", f"{held}/a/9.png", f"{held}/b/9.png")
    data = folder.load(tmp_path)
    assert data.classes == ("a", "b")
    assert data.train.names == ["train/a/1.png", "train/b/1.png", "train/b/2.png"]
    assert data.test.names == [f"{held}/a/9.png", f"{held}/b/9.png"]
    assert data.test.labels.tolist() == [0, 1]
    assert data.held_out == f"the folder {held}/"


def test_a_third_part_is_left_aside_and_said(make, tmp_path):
    make("train/a/1.png", "train/b/1.png", "test/a/1.png", "test/c/1.png", "val/a/1.png")
    data = folder.load(tmp_path)
    assert data.test.names == ["test/a/1.png", "test/c/1.png"]
    assert where(data) == {"val/a/1.png", "c"}
    (aside,) = (p for p in data.problems if not p.used)
    assert "left aside" in aside.what


def test_damaged_and_foreign_files_are_named(make, tmp_path):
    make(*(f"{c}/{i}.png" for c in "ab" for i in range(5)))
    whole = (tmp_path / "a" / "0.png").read_bytes()
    (tmp_path / "a" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "b" / "empty.png").write_bytes(b"")
    (tmp_path / "b" / "notes.txt").write_text("hello")
    (tmp_path / ".hidden.png").write_text("hello")
    data = folder.load(tmp_path)
    assert where(data) == {"a/cut.png", "b/empty.png", "b/notes.txt"}
    assert not any(problem.used for problem in data.problems)
    assert len(data.train) + len(data.test) == 10


def test_one_pixel_image_is_used_and_named(make, tmp_path):
    make(*(f"{i}.png" for i in range(4)))
    make("dot.png", shape=(1, 1, 3))
    data = folder.load(tmp_path, test_share=0)
    (problem,) = data.problems
    assert (problem.where, problem.used) == ("dot.png", True)
    assert "dot.png" in data.train.names


def test_file_beside_class_folders_has_no_label(make, tmp_path):
    make("a/1.png", "b/1.png", "stray.png")
    data = folder.load(tmp_path, test_share=0)
    assert data.train.labels.tolist() == [0, 1, -1]
    assert where(data) == {"stray.png"}


@pytest.mark.parametrize("content", [[], ["notes.txt", "table.csv"]])
def test_no_images(tmp_path, content):
    for name in content:
        (tmp_path / name).write_text("hello")
    with pytest.raises(DataError, match="holds no images"):
        folder.load(tmp_path)


def test_nothing_but_damaged_images(tmp_path):
    (tmp_path / "a.png").write_text("hello")
    with pytest.raises(DataError, match=r"None of the 1 files.*a\.png cannot be read"):
        folder.load(tmp_path)


def test_images_that_break_off_only(make, tmp_path):
    make("a.png", shape=(64, 64, 3))
    whole = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(whole[:500])
    with pytest.raises(DataError, match=r"None of the 1 files.*truncated"):
        folder.load(tmp_path)


def test_sizes(make, tmp_path):
    make(*(f"{i}.png" for i in range(3)), shape=(70, 90, 3))
    assert folder.load(tmp_path).size == 64
    data = folder.load(tmp_path, size=16)
    assert data.size == 16
    assert data.train.items[0].shape == (3, 16, 16)


def test_mixed_grey_and_colour_is_colour(make, tmp_path):
    make("1.png", "2.png", shape=(20, 20))
    make("3.png")
    assert folder.load(tmp_path).train.items[0].shape == (3, 32, 32)


def test_equal_pixels_never_straddle_the_split(make, tmp_path):
    make(*(f"{i}.png" for i in range(5)))
    for i in range(5):
        for copy in "abc":
            (tmp_path / f"{i}{copy}.png").write_bytes((tmp_path / f"{i}.png").read_bytes())
    data = folder.load(tmp_path, test_share=0.4)
    learnt, held = ({name[0] for name in split.names} for split in (data.train, data.test))
    assert not learnt & held
    assert len(data.test) == 8


def test_what_does_not_fit_in_memory_is_decoded_when_asked_for(make, tmp_path, monkeypatch):
    make(*(f"{i}.png" for i in range(6)))
    at_once = folder.load(tmp_path)
    monkeypatch.setattr(images, "IN_MEMORY", 1000)
    later = folder.load(tmp_path)
    rows = torch.arange(len(at_once.train))
    assert later.train.names == at_once.train.names
    assert torch.equal(later.train.gather(rows), at_once.train.gather(rows))
