import numpy as np
import pytest

from counterpoint.data import hub
from counterpoint.errors import DataError

datasets = pytest.importorskip("datasets")


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path):
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.fixture
def saved(tmp_path):
    kind = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"])}
    )

    def part(count, shift):
        columns = {
            "text": [f"text {i + shift}" for i in range(count)],
            "label": [i % 2 for i in range(count)],
        }
        return datasets.Dataset.from_dict(columns, features=kind)

    whole = datasets.DatasetDict({"train": part(8, 0), "test": part(4, 100)})
    whole.save_to_disk(tmp_path / "both")
    whole["train"].save_to_disk(tmp_path / "one")
    return tmp_path


def test_names_and_split_of_the_data_are_kept(saved):
    data = hub.load(str(saved / "both"), "text", "label")
    assert data.classes == ("no", "yes")
    assert (len(data.train), len(data.test)) == (8, 4)
    assert data.test.names[0] == "test row 0"
    assert data.test.labels.tolist() == [0, 1, 0, 1]
    assert data.held_out == "the split that the data bring"


def test_one_part_is_split_here(saved):
    data = hub.load(str(saved / "one"), "text", "label")
    assert (len(data.train), len(data.test)) == (6, 2)


def test_missing_column(saved):
    with pytest.raises(DataError, match=r"no column 'texts'. Did you mean text\?"):
        hub.load(str(saved / "both"), "texts", None)


def test_folder_of_files(tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "train.csv").write_text(
        "text,label\n" + "".join(f"t {i},{i % 2}\n" for i in range(10))
    )
    data = hub.load(str(folder), "text", "label")
    assert data.classes == ("0", "1")
    assert len(data.train) + len(data.test) == 10


def test_unreadable(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        hub.load(str(tmp_path / "nothing"), "text", None)


@pytest.fixture
def pictures(tmp_path):
    image = pytest.importorskip("PIL.Image")
    kind = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=["no", "yes"])}
    )
    drawn = [image.new("RGB", (20, 30), (i, 2 * i, 3)) for i in range(10)]
    columns = {"image": drawn, "label": [i % 2 for i in range(10)]}
    part = datasets.Dataset.from_dict(columns, features=kind)
    part.save_to_disk(tmp_path / "one")
    datasets.DatasetDict({"train": part, "validation": part}).save_to_disk(tmp_path / "both")
    return tmp_path


def test_images(pictures):
    data = hub.load(str(pictures / "one"), None, "label", size=8)
    assert (data.modality, data.classes, data.channels) == ("images", ("no", "yes"), 3)
    assert (len(data.train), len(data.test)) == (8, 2)
    for split in (data.train, data.test):
        for item, name in zip(split.items, split.names, strict=True):
            number = int(name.split()[-1])
            assert item[:, 0, 0].tolist() == [number, 2 * number, 3]


def test_images_with_their_own_split(pictures):
    data = hub.load(str(pictures / "both"), None, None)
    assert (len(data.train), len(data.test)) == (10, 10)
    assert data.train.labels is None
    assert data.held_out == "the split that the data bring"


def test_image_that_is_none_or_damaged_is_named(tmp_path):
    pytest.importorskip("PIL.Image")
    kind = datasets.Features({"image": datasets.Image(decode=False)})
    good = datasets.Image().encode_example(np.zeros((5, 5, 3), "uint8"))
    rows = [good, {"bytes": b"hello", "path": None}, None, good]
    datasets.Dataset.from_dict({"image": rows}, features=kind).save_to_disk(tmp_path / "odd")
    data = hub.load(str(tmp_path / "odd"), None, None, test_share=0)
    assert {p.where for p in data.problems} == {"row 1", "row 2"}
    assert len(data.train) == 2
