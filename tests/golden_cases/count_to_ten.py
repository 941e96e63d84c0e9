"""The loss of each pair and their mean."""

from counterpoint.objectives.count_to_ten import count_to_ten


def run(case):
    given = [case[name] for name in ("image", "caption", "counterfactual")]
    each = count_to_ten(*given, case.params["temperature"], reduction="none")
    return {
        "per_example": each,
        "loss": count_to_ten(*given, case.params["temperature"]),
    }
