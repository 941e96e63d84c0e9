import pytest
import torch

from counterpoint import data as sources
from counterpoint import encoders, methods

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def digits():
    return sources.load("digits", limit=200)


@pytest.fixture
def simclr(digits):
    """A small SimCLR, always from the same random numbers; without batch normalisation."""

    def make(**arguments):
        torch.manual_seed(0)
        encoder = encoders.build(
            "mlp", modality="images", channels=digits.channels, size=digits.size
        )
        return methods.build("simclr", encoder, batch_norm=False, **arguments)

    return make
