"""One step of PLD with matrix factorisation: probabilities, the drawn item, its BPR loss."""

from counterpoint.curation.pld import sampling_probabilities
from counterpoint.objectives.bpr import bpr, embedding_penalty


def run(case):
    users = case["user_emb"][case["users"]]
    items, pool = case["item_emb"], case["candidate_items"]
    drawn, decay = case["drawn_index"], case.params["weight_decay"]
    negatives = items[case["neg_items"]]
    negative = (users * negatives).sum(1)
    probabilities = sampling_probabilities(
        (users[:, None] * items[pool]).sum(2), negative, temperature=case.params["temperature"]
    )
    chosen = pool.gather(1, drawn[:, None])[:, 0]
    positives = items[chosen]
    loss = bpr((users * positives).sum(1), negative)
    return {
        "sampling_probabilities": probabilities,
        "chosen_items": chosen,
        "loss": loss + decay * embedding_penalty(users, positives, negatives),
    }
