import pytest

from counterpoint.data import docstrings
from counterpoint.errors import DataError

pytest.importorskip("scipy")


@pytest.fixture
def few(monkeypatch, tmp_path):
    monkeypatch.setenv("COUNTERPOINT_CACHE", str(tmp_path))
    monkeypatch.setattr(
        docstrings, "SUBPACKAGES", {"scipy": ("ndimage", "fft"), "numpy": ("polynomial",)}
    )


def test_sentences_with_their_source(few):
    data = docstrings.load()
    assert data.modality == "text"
    assert data.classes == ("numpy.polynomial", "scipy.fft", "scipy.ndimage")
    names = list(data.train.names) + list(data.test.names)
    texts = list(data.train.items) + list(data.test.items)
    sources = list(data.train.partners) + list(data.test.partners)
    where = names.index("scipy.ndimage: gaussian_filter1d")
    assert texts[where] == "1-D Gaussian filter."
    assert "def gaussian_filter1d(" in sources[where]
    assert texts[where] not in sources[where]
    assert all('"""' not in source.splitlines()[0] for source in sources)
    assert len({text.lower() for text in texts}) == len(texts)


def test_read_from_the_cache_the_second_time(few, monkeypatch):
    first = docstrings.load()
    monkeypatch.setattr(docstrings, "_collected", None)
    assert list(docstrings.load().train.items) == list(first.train.items)


def test_nothing_installed(few, monkeypatch):
    monkeypatch.setattr(docstrings, "package_folder", lambda name: None)
    with pytest.raises(DataError, match="docstrings needs"):
        docstrings.load()


@pytest.mark.parametrize(
    ("documentation", "sentence"),
    [
        ("Compute the mean. More words follow.\n\nParameters", "Compute the mean."),
        ("Return values, e.g. of a\nlong line\n\nRest.", "Return values, e.g. of a long line"),
        ("Too short.", ""),
        ("1-D filter of an image.", "1-D filter of an image."),
        ("mean(a, axis) of an array here", ""),
        ("Parameters ---------- x : the first value", ""),
        ("", ""),
        (".. deprecated:: 1.0 use another one", ""),
    ],
)
def test_first_sentence(documentation, sentence):
    assert docstrings.first_sentence(documentation) == sentence


def test_source_is_without_its_docstring(tmp_path):
    (tmp_path / "tests").mkdir()
    code = (
        "class A:\n"
        "    @property\n"
        "    def size(self):\n"
        '        """Return the number of things.\n\n        More."""\n'
        "        return self._size\n\n"
        "def _hidden():\n    'Return nothing of any use.'\n"
    )
    (tmp_path / "module.py").write_text(code)
    (tmp_path / "tests" / "other.py").write_text("def f():\n    'Return what a test needs.'\n")
    (found,) = docstrings._documented(tmp_path)
    assert found == (
        "A.size",
        "Return the number of things.",
        "def size(self):\n    return self._size",
    )
