"""Each sentence says what made-up numbers say, and ranks only what their seeds tell apart."""

import re

import pytest
from experiments.made_up import RANKING, results_of, said

from handgrad.experiments import Results, Setting, get_study

UNDECIDED = re.compile(
    r"of the highest mean|the highest mean is|At its highest mean|whether .*? narrows|"
    r"neither momentum nor Nesterov gets below"
)
VERDICT = re.compile(
    r"points (more|less)|about the same|\b(highest|lowest|narrows|widens|hardly|only)\b|"
    r"best (network|augmentation|is)|overfit (no )?more here|(more|fewer) than without|gets? below|"
    r"At every depth"
)


def verdict(text):
    """Return the words of `text` that rank, None if there are none."""
    return VERDICT.search(UNDECIDED.sub("", text))


def varied(trial):
    """A value of its own for each name, 0.3 to 0.7."""
    return 0.3 + 0.4 * (sum(map(ord, trial)) % 17) / 17


@pytest.mark.parametrize("name", RANKING)
def test_one_seed_ranks_nothing(name):
    first, second = said(name, varied, train=varied, loss=varied, seeds=1)
    assert second == (
        "With one seed, differences of less than a few points say nothing, so nothing is ranked here; "
        "--seeds 3 ranks."
    )
    assert not verdict(first)
    assert re.search(r"\d\d.\d %", first)


@pytest.mark.parametrize("seeds", [2, 3])
@pytest.mark.parametrize("name", RANKING)
def test_seeds_that_overlap_rank_nothing(name, seeds):
    text = " ".join(said(name, varied, varied, varied, seeds=seeds, spread=3.0))
    assert not verdict(text), text
    assert re.search(r"the seeds do not tell|as far as the seeds tell|the seeds explain", text)


@pytest.mark.parametrize("name", RANKING)
def test_seeds_that_do_not_overlap_rank(name):
    def value(trial):
        return varied(trial) + (0.3 if trial.startswith("best of fine") else 0.0)

    text = " ".join(said(name, value, lambda n: 0.9 - varied(n), varied, spread=0.001))
    assert verdict(text), text


def test_overfit_small():
    good = said("overfit-small", val=0.2, train=1.0)
    assert "classify every training image rightly" in good[0]
    assert "learnt the images, not the classes" in good[1]
    bad = said("overfit-small", val=0.2, train=lambda name: 0.5 if name == "ConvNet" else 1.0)
    assert "the three-layer net and the five-layer net classify" in bad[0].lower()
    assert "ConvNet only 50.0 ± 0.0 %" in bad[0]
    assert "fault" in bad[0]
    none = said("overfit-small", val=0.2, train=0.4)
    assert "every training image" not in none[0]
    assert "carries over" in said("overfit-small", val=0.95, train=1.0)[1]
    assert "only" in said("overfit-small", val=0.2, train=1.0, spread=0.1)[0]  # not with every seed


def test_update_rules():
    losses = {"SGD": 1.0, "momentum": 0.5, "Nesterov": 0.4, "Adam": 0.1}
    first, second = said("update-rules", val=0.5, loss=lambda name: losses.get(name, 0.8))
    assert first == (
        "Adam has the lowest training loss of the last epoch, 0.10 ± 0.00; SGD has the highest, 1.00 ± 0.00."
    )
    assert "momentum and Nesterov get below its loss of 1.00 ± 0.00 by more" in second
    assert "the seeds do not tell SGD, momentum, Nesterov" in second
    first, second = said("update-rules", val=lambda n: 0.6 if n == "AdaGrad" else 0.5,
                         loss=lambda name: 1.1 - losses.get(name, 0.8))  # fmt: skip
    assert first.startswith("SGD has the lowest")
    assert "neither momentum nor Nesterov gets below" in second
    assert "AdaGrad has the highest validation accuracy, 60.0 ± 0.0 %" in second
    near = {"momentum": 0.5, "Nesterov": 0.51}
    first, _ = said("update-rules", val=0.5, loss=lambda n: near.get(n, 0.9), spread=0.02)
    assert first.startswith(
        "Momentum and Nesterov, which the seeds do not tell apart, have the lowest training loss of the "
        "last epoch, 0.50 ± 0.02 and 0.51 ± 0.02; "
    )
    _, second = said("update-rules", val=0.5, loss=lambda n: near.get(n, 0.9), spread=0.2)
    assert "neither momentum nor Nesterov gets below its loss of 0.90 ± 0.20 by more" in second


def test_update_rules_that_diverge_are_named_and_not_ranked():
    results = results_of("update-rules", val=varied, loss=varied)
    for record in results["Adam"]:
        record |= {"loss": [], "val_acc": [], "train_acc": [], "diverged": "the loss is inf"}
    first, second = get_study("update-rules").sentences(results)
    assert first.endswith("; Adam diverged with one seed or more.")
    assert "Adam has the lowest, 0.0 ± 0.0 %" in second
    for name in results:
        for record in results[name]:
            record |= {"loss": [], "val_acc": [], "train_acc": [], "diverged": "the loss is inf"}
    assert "nan" not in " ".join(get_study("update-rules").sentences(results))


def test_activations():
    def val(name):
        return {"ReLU": 0.6, "sigmoid": 0.2}.get(name, 0.5)

    first, second = said("activations", val, loss=lambda n: 2.3 if n == "sigmoid" else 0.5)
    assert first == (
        "ReLU has the highest validation accuracy, 60.0 ± 0.0 %; sigmoid has the lowest, 20.0 ± 0.0 %."
    )
    assert "40.0 points more validation accuracy than the sigmoid" in second
    assert "hardly reaches the first layers" in second
    _, second = said("activations", val, loss=2.3, spread=0.3)
    assert "that the seeds do not tell from that of the sigmoid" in second
    assert "hardly" not in second
    _, second = said("activations", val=lambda n: 0.7 if n == "sigmoid" else 0.5)
    assert "20.0 points less validation accuracy than the sigmoid" in second
    assert "hardly" not in second


def test_a_tie_that_reaches_from_the_first_to_the_last():
    """ReLU and sigmoid differ, tanh is so spread that it is told from neither."""
    results = results_of(
        "activations", lambda n: {"ReLU": 0.6, "tanh": 0.5}.get(n, 0.4), spread=0.01
    )
    for record, value in zip(results["tanh"], (0.2, 0.5, 0.8), strict=True):
        record["val_acc"] = [value]
    first, _ = get_study("activations").sentences(results)
    assert first == (
        "ReLU has the highest validation accuracy, 60.0 ± 1.0 %, but the seeds tell it apart from sigmoid "
        "(40.0 ± 1.0 %), leaky ReLU (40.0 ± 1.0 %), ELU (40.0 ± 1.0 %) and GELU (40.0 ± 1.0 %) only."
    )


def test_dropout():
    def val(name):
        return 0.6 if name == "keep 0.5" else 0.5

    def train(name):
        return 0.7 if name == "keep 0.25" else 1.0

    first, second = said("dropout", val, train)
    assert first.startswith("Dropout with keep 0.25 narrows the gap")
    assert "50.0 ± 0.0 points without, 20.0 ± 0.0 with it" in first
    assert "best network with dropout, keep 0.5, reaches 10.0 points more" in second
    first, second = said("dropout", lambda n: 0.5 if n == "no dropout" else 0.3)
    assert "Dropout with keep 0.25 widens the gap" in first
    assert (
        "highest mean, keep 0.75 (which the seeds do not tell from keep 0.5 and keep 0.25)"
        in second
    )
    assert "20.0 points less" in second
    first, second = said("dropout", val, train, spread=0.2)
    assert first.startswith("The seeds do not tell whether dropout with keep 0.25 narrows")
    assert (
        "keep 0.5 (which the seeds do not tell from keep 0.75 and keep 0.25), reaches a val"
        in second
    )
    assert (
        "do not tell from that of the one without (60.0 ± 20.0 % against 50.0 ± 20.0 %)" in second
    )


def test_batchnorm_depth():
    def with_(high, low):
        return lambda n: high if "with batch" in n else low

    first, second = said("batchnorm-depth", with_(0.5, 0.2), loss=with_(0.5, 2.3))
    assert first.startswith("At every depth")
    assert "30.0 points more" in second
    first, second = said("batchnorm-depth", with_(0.2, 0.5), loss=with_(2.3, 0.5))
    assert first == "At no depth does the training loss end lower with batch normalisation."
    assert "30.0 points less" in second
    deep = said(
        "batchnorm-depth", val=0.3, loss=lambda n: 0.1 if n == "8 hidden, with batch norm" else 1.0
    )
    assert (
        "at a depth of 8 only; at 1, 2, 4, 6 and 12 the seeds do not tell the two apart" in deep[0]
    )
    first, second = said("batchnorm-depth", with_(0.5, 0.4), loss=with_(0.5, 0.6), spread=0.3)
    assert "At no depth" in first
    assert "at 1, 2, 4, 6, 8 and 12 the seeds do not tell the two apart" in first
    assert "that the seeds do not tell from that of the plain network" in second


def test_batchnorm_init():
    def val(wide, narrow):
        def of(name):
            scale, _, label = name.partition(", ")
            return 0.5 if label == wide or (label == narrow and scale == "1") else 0.1

        return of

    with_, without = "with batch norm", "without"
    first, second = said("batchnorm-init", val(with_, without))
    assert "20.0 ± 0.0 of 20 scales" in first
    assert "more than without (1.0 ± 0.0)" in first
    assert "(which the seeds do not tell from 19 other scales)" in second
    first, second = said("batchnorm-init", val(without, with_))
    assert "1.0 ± 0.0 of 20 scales" in first
    assert "fewer than without (20.0 ± 0.0)" in first
    assert "with a scale of 1, it" in second
    assert second.endswith("50.0 ± 0.0 % against 50.0 ± 0.0 %.")
    first, second = said("batchnorm-init", 0.3)
    assert "as many as without, as far as the seeds tell" in first
    assert "does" not in second
    better = said("batchnorm-init", lambda n: 0.5 if with_ in n else 0.2)[1]
    assert "30.0 points more validation accuracy than the plain network" in better


@pytest.mark.parametrize("kind", ["batch norm", "layer norm", "group norm"])
def test_batch_sizes(kind):
    name = f"{kind.replace(' ', '')}-batch-size"
    small = {"batch norm": "batch 3", "layer norm": "batch 3", "group norm": "batch 1"}[kind]

    def poor(trial):
        return 0.2 if trial == f"{kind}, {small}" else 0.5

    first, second = said(name, poor)
    size = small.removeprefix("batch ")
    assert (
        f"batches of {size} give 30.0 points less validation accuracy than batches of 50" in first
    )
    assert "reaches 30.0 points less validation accuracy than" in second
    assert "; the seeds do not tell it from" in second
    assert "at batches of 50 (50.0 ± 0.0 %)" in second
    first, second = said(name, lambda trial: 1 - poor(trial))
    assert "give 30.0 points more" in first
    assert "reaches 30.0 points more validation accuracy than" in second
    first, second = said(name, poor, spread=0.2)
    assert (
        "a validation accuracy that the seeds do not tell from that of batches of 50 (20.0 ± 20.0 %"
        in first
    )
    assert second.startswith(f"The seeds do not tell {kind} from ")


def test_filter_size():
    def val(name):
        return {"3 x 3": 0.6, "9 x 9": 0.2}.get(name, 0.5)

    first, second = said("filter-size", val)
    assert first == (
        "Filters of 3 x 3 have the highest validation accuracy, 60.0 ± 0.0 %; filters of 9 x 9 have the "
        "lowest, 20.0 ± 0.0 %."
    )
    assert (
        "40.0 ± 0.0 points for 1 x 1 and 70.0 ± 0.0 for 9 x 9: larger filters overfit more"
        in second
    )
    assert "overfit no more" in said("filter-size", lambda n: 0.2 if n == "1 x 1" else 0.5)[1]
    first, second = said("filter-size", val, spread=0.2)
    assert "tell" in first
    assert "the seeds do not tell whether larger filters overfit more" in second


def test_depth():
    first, second = said("depth", val=lambda n: 0.6 if n == "4 blocks" else 0.5)
    assert first.startswith("4 blocks reach 10.0 points more")
    assert "; the best is 60.0 ± 0.0 %, with 4 blocks." in first
    assert "fewer than the 1,000" in second
    assert "10.0 points less" in said("depth", val=lambda n: 0.4 if n == "4 blocks" else 0.5)[0]
    first, _ = said("depth", val=lambda n: 0.6 if n == "4 blocks" else 0.5, spread=0.2)
    assert first.startswith("4 blocks reach a validation accuracy that the seeds do not tell")
    assert (
        "the highest mean is 60.0 ± 20.0 %, with 4 blocks (which the seeds do not tell from"
        in first
    )


def test_augmentation():
    first, second = said("augmentation", val=lambda n: 0.6 if n == "crop" else 0.5)
    assert "The best augmentation, crop, reaches 10.0 points more" in first
    assert "It narrows the gap" in second
    first, second = said("augmentation", val=lambda n: 0.6 if n == "none" else 0.5)
    assert "10.0 points less" in first
    assert "Flip widens the gap" in second
    first, second = said("augmentation", lambda n: 0.6 if n == "crop" else 0.5, spread=0.2)
    assert "highest mean, crop (which the seeds do not tell from flip, " in first
    assert "that the seeds do not tell from that of none" in first
    assert "The seeds do not tell whether crop narrows" in second


def test_coarse_to_fine():
    def val(trial):
        stage, number = trial.split()[0], trial.split()[-1]
        if stage == "best":
            return {"coarse": 0.3, "fine": 0.5}[number]
        return (0.5 if stage == "fine" else 0.1) + 0.01 * int(number)

    first, second = said("coarse-to-fine", val)
    assert "30 trials of the coarse search, one seed each, reach 11.0 to 40.0 %" in first
    assert "the 20 of the fine one around that reach 51.0 to 70.0 %" in first
    assert second == (
        "Trained again for 6 epochs from 3 other seeds, the choice of the fine search reaches 20.0 points "
        "more validation accuracy than the choice of the coarse one (50.0 ± 0.0 % against 30.0 ± 0.0 %)."
    )
    assert (
        "that the seeds do not tell from that of the choice"
        in said("coarse-to-fine", val, spread=0.2)[1]
    )
    second = said("coarse-to-fine", lambda n: 0.6 if n.endswith("coarse") else 0.4)[1]
    assert "20.0 points less" in second


def test_image_filters():
    flat = {
        "image": [[[10, 10], [10, 10]]] * 3,
        "grey": [[10, 10], [10, 10]],
        "edges": [[129, 129], [129, 129]],
    }
    study = get_study("image-filters")

    def of(**changes):
        trial = {"name": "p.png", "spec": {}, "record": {**flat, **changes}}
        return study.sentences(Results([trial]))

    assert "output is the weighted mean" in of()[0]
    assert "output is not the weighted mean" in of(grey=[[10, 10], [10, 50]])[0]
    assert "so there are no clear edges" in of()[1] or "25 %" in of()[1]
    assert "100 % of its response, the edges" in of(edges=[[128, 128], [128, 190]])[1]


def test_naive_against_fast():
    study = get_study("naive-against-fast")

    def of(seconds, error):
        trials = [
            {"name": t.name, "spec": t.spec,
             "record": {"seconds": seconds(t.spec["engine"]), "calls": 1, "error": error}}
            for t in study.trials(Setting("shapes"))
        ]  # fmt: skip
        return study.sentences(Results(trials))

    first, second = of(lambda engine: 1.0 if engine == "naive" else 0.001, 1e-15)
    assert "The vectorized engine is 1,000 to 1,000 times as fast" in first
    assert "All give the same results" in second
    first, second = of(lambda engine: 0.001 if engine == "naive" else 0.01, 0.5)
    assert "0.1 to 0.1 times as fast" in first
    assert "NOT the same" in second
