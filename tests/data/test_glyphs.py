import pytest
import torch

from counterpoint.data import glyphs
from counterpoint.errors import DataError

pytest.importorskip("matplotlib")
pytest.importorskip("fontpkg")


@pytest.fixture(scope="module")
def data():
    return glyphs.load()


def test_size_of_the_data(data):
    assert 8_000 <= len(data.train) <= 13_000
    assert 2_000 <= len(data.test) <= 4_000
    assert len(data.classes) == 62
    assert data.train.gather([0, 1]).shape == (2, 1, 32, 32)


def test_no_typeface_is_on_both_sides(data):
    learnt, held = (set(split.extras["domain"].tolist()) for split in (data.train, data.test))
    assert len(held) >= 3
    assert not learnt & held


def test_every_character_is_on_both_sides(data):
    for split in (data.train, data.test):
        assert set(split.labels.tolist()) == set(range(62))


def test_every_picture_has_ink_and_fits(data):
    for split in (data.train, data.test):
        pixels = split.gather(torch.arange(len(split)))
        assert (pixels.amax((1, 2, 3)) > 40).all()
        edges = torch.cat([pixels[..., 0], pixels[..., -1]], -1)
        assert (edges > 128).float().mean() < 1e-3


def test_characters_of_a_face_differ(data):
    first = [i for i, name in enumerate(data.train.names) if name.endswith("DejaVuSans 400")]
    pixels = data.train.gather(first)
    assert len(pixels.flatten(1).unique(dim=0)) == 62


def test_small_capitals_are_not_taken_for_lower_case(data):
    names = [*data.train.names, *data.test.names]
    cinzel = {name[0] for name in names if "in Cinzel " in name}
    assert "A" in cinzel
    assert "a" not in cinzel


def test_target_grows_with_weight(data):
    def thickness(face: str) -> float:
        for split in (data.train, data.test):
            if f"A in {face}" in split.names:
                return float(split.extras["target"][list(split.names).index(f"A in {face}")])
        raise AssertionError(face)

    values = [thickness(f"Bitter {weight}") for weight in (300, 500, 700, 900)]
    assert values == sorted(values)


def test_slant_marks_italics(data):
    for name, slant in zip(data.train.names, data.train.extras["slant"].tolist(), strict=True):
        assert slant == any(word in name for word in ("Ital", "Obli", "Ita ", "cmti"))


def test_deterministic(data):
    glyphs.render.cache_clear()
    again = glyphs.load()
    rows = torch.arange(0, len(data.train), 97)
    assert torch.equal(again.train.gather(rows), data.train.gather(rows))
    assert again.train.names == data.train.names
    assert glyphs.load(seed=1).held_out != data.held_out


def test_one_typeface_is_too_few(monkeypatch):
    one = tuple(face for face in glyphs.faces() if face.family == "STIX")
    monkeypatch.setattr(glyphs, "faces", lambda: one)
    with pytest.raises(DataError, match="at least two typefaces"):
        glyphs.load()
