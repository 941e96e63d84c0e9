"""A step of the retriever, and one of the ranker."""

import torch

from counterpoint.objectives.ar2 import ar2_ranker, ar2_retriever, ranker_reward


def run(case):
    params, judged = case.params, case["ranker_scores"]
    query = case["q"]
    candidates = case["ctx"].reshape(len(query), -1, query.shape[1])
    scores = torch.einsum("bd,bnd->bn", query, candidates)
    if params["scale_simmila"]:
        scores = scores / query.shape[1] ** 0.5
    shared = {"temperature": params["temperature_normal"], "eps": params["eps"]}
    parts = [ar2_retriever(scores, judged, adversarial=a, **shared) for a in (0.0, 1.0)]
    ranker = ar2_ranker(judged)
    return {
        "p_retriever": scores.softmax(1),
        "p_ranker": (judged / params["temperature_normal"]).softmax(1),
        "reward": ranker_reward(judged, eps=params["eps"]),
        "normal_loss": parts[0],
        "adv_loss": parts[1],
        "loss": ar2_retriever(scores, judged, adversarial=params["adv_lambda"], **shared),
        "ranker_loss": ranker,
        "grad_ranker_scores": torch.autograd.grad(ranker, judged)[0],
    }
