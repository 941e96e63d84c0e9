import pytest
import torch

from counterpoint import data as sources
from counterpoint import encoders, methods
from counterpoint.apps.fit import fit
from counterpoint.data import Dataset, Split

torch.set_num_threads(1)

SUBJECTS = ("the cat", "my dog", "a bird", "one horse", "the old fish", "a small snake")
VERBS = ("sleeps", "runs", "eats", "waits", "sings loudly", "hides")
PLACES = ("in the house", "by the river", "on the hill", "under a tree")


def sentences() -> Dataset:
    texts = [f"{s} {v} {p}" for s in SUBJECTS for v in VERBS for p in PLACES]
    labels = torch.arange(len(SUBJECTS)).repeat_interleave(len(VERBS) * len(PLACES))
    order = torch.randperm(len(texts), generator=torch.Generator().manual_seed(0))
    whole = Split(texts, texts, labels)
    return Dataset(
        name="sentences",
        modality="text",
        train=whole.take(order[:120]),
        test=whole.take(order[120:]),
        classes=SUBJECTS,
    )


@pytest.fixture(scope="session")
def data_of():
    """A small data set of a modality."""
    made = {"images": sources.load("digits", limit=200), "text": sentences()}
    return made.__getitem__


@pytest.fixture(scope="session")
def encoder_of(data_of):
    """A fresh small encoder of a modality, always from the same random numbers."""

    def make(modality: str, batch_norm: bool = True):
        torch.manual_seed(0)
        if modality == "text":
            return encoders.build("minilm", modality="text", layers=1, max_length=16)
        data = data_of(modality)
        name = "conv-tiny" if batch_norm else "mlp"
        return encoders.build(name, modality="images", channels=data.channels, size=data.size)

    return make


@pytest.fixture(scope="session")
def generator(data_of, tmp_path_factory):
    """The run of a tiny generator that was hardly trained."""
    folder = tmp_path_factory.mktemp("generator")
    fit("diffusion", data_of("images"), out=folder, steps=20, batch_size=32, width=8)
    return str(folder)


@pytest.fixture(scope="session")
def tiny(request):
    """Arguments with which a method takes seconds where it would take minutes."""

    def arguments(name):
        known = {argument.name for argument in methods.arguments(name)}
        if "generator" not in known:
            return {}
        small = {"generated": 40, "sampling": 4}
        return {"generator": request.getfixturevalue("generator")} | {
            key: value for key, value in small.items() if key in known
        }

    return arguments
