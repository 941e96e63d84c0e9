import pytest
import torch

from counterpoint.errors import DataError
from counterpoint.views.language_labels import language_labels

START, PAD, VISUAL, CHUNK, END = range(5)
NAMES = {"start": START, "pad": PAD, "visual": VISUAL, "end_of_chunk": CHUNK, "end": END}


def test_pairs_count_all_text():
    tokens = torch.tensor([[START, VISUAL, 7, 8, CHUNK, END, PAD, PAD]])
    wanted = [[-100, -100, 7, 8, CHUNK, END, -100, -100]]
    assert language_labels(tokens, **NAMES).tolist() == wanted


def test_interleaved_images_count_chunks_only():
    tokens = torch.tensor([[START, 9, VISUAL, 7, CHUNK, 6, 5, VISUAL, 8, CHUNK, END, PAD]])
    found = language_labels(tokens, **NAMES, chunks_only=True, ignore_index=-1)
    assert found.tolist() == [[-1, -1, -1, 7, CHUNK, -1, -1, -1, 8, CHUNK, -1, -1]]


@pytest.mark.parametrize("seed", range(5))
def test_chunks_are_a_loop(seed):
    torch.manual_seed(seed)
    tokens = torch.randint(0, 8, (6, 20))
    wanted = tokens.clone()
    for line in wanted:
        inside = False
        for place, token in enumerate(line.tolist()):
            inside = inside or token == VISUAL
            if not inside or token in (START, PAD, VISUAL, END):
                line[place] = -100
            inside = inside and token != CHUNK
    assert torch.equal(language_labels(tokens, **NAMES, chunks_only=True), wanted)


def test_bad_inputs_are_refused():
    with pytest.raises(DataError, match="tokens"):
        language_labels(torch.zeros(3, dtype=torch.long), **NAMES)
    with pytest.raises(DataError, match="different"):
        language_labels(torch.zeros(1, 3, dtype=torch.long), **{**NAMES, "end": PAD})
