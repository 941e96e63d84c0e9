"""Shared-variance naive Bayes, at once and in two batches, and both probes after scaling."""

from counterpoint.probes import SharedVarianceNaiveBayes
from counterpoint.probes.logistic import fit_logistic
from counterpoint.probes.scaling import min_max

TOLERANCES = {"lr_coef": 1e-3, "lr_intercept": 1e-3}


def run(case):
    def array(name):
        return case[name].detach().numpy()

    model = SharedVarianceNaiveBayes(case.params["var_epsilon"])
    if "X_batch1" in case.inputs:
        batches = sum(name.startswith("X_batch") for name in case.inputs)
        for number in range(1, batches + 1):
            model.partial_fit(array(f"X_batch{number}"), array(f"y_batch{number}"))
        return described(model) | judged(case, model)
    train, y, test = array("X_train"), array("y_train"), array("X_test")
    if "C" in case.params:
        scale = min_max(train)
        train, test = scale(train), scale(test)
        regression = fit_logistic(train, y, case.params["C"], 1000, 1e-10)
        return {
            "lr_coef": regression.coef_,
            "lr_intercept": regression.intercept_,
            "lr_prediction": regression.predict(test),
            "nb_prediction": model.fit(train, y).predict(test),
        }
    model.fit(train, y)
    return described(model) | judged(case, model)


def described(model):
    return {
        "class_means": model.means,
        "class_prior": model.prior,
        "class_variances": model.class_variances,
        "shared_variance": model.shared_variance,
    }


def judged(case, model):
    if "X_test" not in case.inputs:
        return {}
    test, truth = (case[name].detach().numpy() for name in ("X_test", "y_test"))
    prediction = model.predict(test)
    return {
        "log_likelihood_without_prior": model.log_likelihood(test),
        "prediction": prediction,
        "accuracy": (prediction == truth).mean(),
    }
