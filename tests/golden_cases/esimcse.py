"""In-batch loss with and without the queue."""

from counterpoint.objectives.queue_contrast import esimcse


def run(case):
    queue = None if case.inputs["queue"] is None else case["queue"]
    return {"loss": esimcse(case["z1"], case["z2"], queue, case.params["temperature"])}
