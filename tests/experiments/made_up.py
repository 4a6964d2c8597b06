"""Made-up results of the studies, for tests of what is said of them and drawn."""

from collections import Counter

from handgrad.experiments import NAMES, Results, Setting, get_study

RANKING = tuple(
    n for n in NAMES if n not in ("overfit-small", "image-filters", "naive-against-fast")
)
"""The studies whose sentences compare trainings."""


def results_of(name, val, train=0.9, loss=1.0, dataset="shapes", seeds=3, spread=0.0):
    """Made-up results of the study: val, train and loss are numbers or functions of a trial's name.

    spread: their standard deviation over three seeds; where val is above its mean, train is below.
    """

    def of(value, trial, move=0.0):
        return (value(trial) if callable(value) else value) + move

    study, setting = get_study(name), Setting(dataset, seeds=seeds)
    made, trials = [], study.trials(setting)
    while trials:
        count = Counter(trial.name for trial in trials)
        seen = Counter()
        for number, trial in enumerate(trials):
            move = spread * (seen[trial.name] - (count[trial.name] - 1) / 2)
            seen[trial.name] += 1
            record = {
                "loss": [2.3, *[of(loss, trial.name, move)] * 2],
                "train_acc": [0.1, of(train, trial.name, -move)],
                "val_acc": [0.0, of(val, trial.name, move)],
                "steps": 2,
                "parameters": 1000 - number,
                "diverged": None,
            }
            made.append({"name": trial.name, "spec": trial.spec, "record": record})
        trials = study.more(setting, Results(made))
    return Results(made)


def said(name, *arguments, **options):
    return get_study(name).sentences(results_of(name, *arguments, **options))
