"""Bounds stated in words, and the figures that are held against them."""

import math

import pytest
from nbformat.v4 import new_output

from handgrad.courses.notebook.bounds import bound_for, bounds_in, comments, share_in
from handgrad.courses.notebook.quantities import Quantity, numbered, quantities
from handgrad.courses.notebook.verdict import (
    AS_THEN,
    BROKEN,
    DIFFERS,
    KEPT,
    MISSING,
    NEAR,
    SAME,
    judge_cell,
    shown,
)


def error(label, value):
    return Quantity(label, (value,), "error")


@pytest.mark.parametrize(
    ("words", "kept", "broken"),
    [
        ("The error should be around e-9 or less.", 9.7e-9, 1.1e-8),
        ("difference should be around 2e-8", 9.9e-8, 1.1e-7),
        ("The error should be on the order of e-12", 3.3e-12, 1.2e-11),
        ("Your errors should be around 1e-8'", 1.2e-8, 1.2e-7),
        ("you should see errors less than 1e-7", 9.9e-8, 1.01e-7),
        ("You should see errors less than e-8.", 8.9e-9, 1.01e-8),
        ("these should all be less than 1e-8 or so", 5e-8, 1.1e-7),
        ("The difference should be very small. We get < 1e-7", 3e-8, 2e-7),
        ("should be very small, we get < 1e-12", 0.0, 1e-12),
        ("You should expect to see relative errors between 1e-13 and 1e-8", 5e-8, 2e-7),
        ("errors of magnitudes between 1e-12~1e-06", 5e-6, 2e-5),
        ("Relative errors should be close to 0.0", 0.0, 1e-7),
        ("errors may be up to the order of 10^-2", 0.05, 0.2),
        ("the max relative error should be around or below 0.01", 0.0104, 0.11),
        ("The error is expected within 1e-7", 9e-8, 2e-7),
        ("errors that are below or around 1e-6", 5e-6, 1.1e-5),
        ("errors roughly below 1e-6", 5e-6, 1.1e-5),
        ("errors no more than 1e-6", 9e-7, 1.1e-6),
        ("相对误差应小于 1e-8。", 9e-9, 1.1e-8),
        ("误差应小于 1e-8 左右", 9e-8, 1.1e-7),
        ("差异应在 e-12 量级", 5e-12, 2e-11),
        ("误差应在 1e-12 到 1e-7 之间", 5e-7, 2e-6),
        ("오차는 1e-9 이하", 5e-9, 2e-8),
        ("l'erreur vaut au plus 1e-7", 5e-7, 2e-6),
        ("ошибка меньше 1e-6", 5e-6, 2e-5),
        ("maksimal e-8", 5e-8, 2e-7),  # the bare power is enough
        ("error on the order of 10⁻⁸", 5e-8, 2e-7),
        ("error less than 1e−8", 9e-9, 1.1e-8),
    ],
)
def test_a_bound_in_words(words, kept, broken):
    (bound,) = bounds_in(words)
    assert bound.kept_by(error("dx error", kept))
    assert not bound.kept_by(error("dx error", broken))
    assert not bound.kept_by(error("dx error", math.nan))
    assert bound_for(error("dx error", kept), [bound]) == bound


@pytest.mark.parametrize(
    "words",
    [
        "weight_scale = 1e-2  # Experiment with this!",
        "reg = 1e-3 # regularization strength",
        "Compare your output with ours.",
        "you should get a validation accuracy of about 0.36 on the validation set",
        "the difference should be very small",
    ],
)
def test_no_bound_where_none_is_stated(words):
    assert bounds_in(words) == []


def test_names_have_bounds_of_their_own():
    found = bounds_in(
        "You should expect losses between 1e-4~1e-10 for W, losses between 1e-08~1e-10 for b, and "
        "losses between 1e-08~1e-09 for beta and gammas."
    )
    limits = {
        label: bound_for(error(f"{label} relative error", 0), found).limit
        for label in ("W1", "W3", "b2", "beta1", "gamma2")
    }
    assert limits == pytest.approx(
        {"W1": 1e-3, "W3": 1e-3, "b2": 1e-7, "beta1": 1e-7, "gamma2": 1e-7}
    )


def test_an_exception_is_for_its_name_alone():
    found = bounds_in(
        "Most of the errors should be on the order of e-7 or smaller. NOTE: It is fine however to "
        "see an error for W2 on the order of e-5 for the check when reg = 0.0"
    )
    assert bound_for(error("W2 relative error", 0), found).limit == pytest.approx(1e-4)
    assert bound_for(error("W1 relative error", 0), found).limit == pytest.approx(1e-6)
    each = bounds_in("the difference should be less than 1e-8 for each of W1, W2, b1, and b2.")
    assert bound_for(error("b2 max relative error", 0), each).limit == 1e-8
    assert bound_for(error("W3 max relative error", 0), each) is None


def test_the_first_years_get_the_exception_that_the_later_ones_state():
    check = (
        "# around 1e-7 or less\nnet = FullyConnectedNet(d)\nprint('%s relative error: %.2e' % n)"
    )
    asked = "you should expect to see errors around 1e-6 or less."
    assert verdicts(check, ["W2 relative error: 2.21e-05"], markdown=asked) == [KEPT]
    assert verdicts(check, ["W2 relative error: 2.21e-04"], markdown=asked) == [BROKEN]
    assert verdicts(check, ["W1 relative error: 2.21e-05"], markdown=asked) == [BROKEN]
    other = check.replace("FullyConnectedNet", "TwoLayerNet")
    assert verdicts(other, ["W2 relative error: 2.21e-05"], markdown=asked) == [BROKEN]


def test_a_loss_has_a_target():
    found = bounds_in("Loss should be close to 2.3 and dx error should be around e-8")
    loss = bound_for(Quantity("loss", (2.3025,), "loss"), found)
    assert loss.kept_by(Quantity("loss", (2.3025,), "loss"))
    assert not loss.kept_by(Quantity("loss", (3.4046,), "loss"))
    assert bound_for(error("dx error", 0), found).limit == pytest.approx(1e-7)


def test_an_accuracy_is_asked_for():
    asked = "You should achieve above 48% accuracy on the validation set and the test set."
    assert share_in(asked) == [("validation", 0.48), ("test", 0.48)]
    assert share_in("Our best network gets over 52% on the validation set.") == []
    assert share_in("achieve greater than 40% accuracy on the training set:") == [("training", 0.4)]


def test_comments_in_a_row_are_one_sentence():
    source = "x = 1  # no\n# most around e-7,\n# but W2 e-5\ny = '# not this'\n# last"
    assert comments(source) == [(3, "most around e-7, but W2 e-5"), (5, "last")]
    assert comments("%matplotlib inline\n# errors around e-8\nx = (") == [(2, "errors around e-8")]


# what was printed


def labels(source, printed):
    return [(q.label, q.values, q.kind) for q in quantities(source, printed)]


def test_figures_in_many_forms():
    printed = (
        "Testing affine\ndifference:  9.7e-10\nW1 relative error: 2.21e-07\n"
        "('dx error: ', 1e-9)\nInitial loss:  2.3\nSpeedup: 474.4x\nNaive: 0.25s\n"
        "  means:  [-2.38 -13.1\n 1.9]\nshape:  (2, 3)\nRunning check with reg =  3.14\n"
        "Difference between your scores:\n3.4e-08\nMean of train-time output:  9.98\n"
        "b2 relative error: nan\n"
    )
    found = labels("", printed)
    assert found[:4] == [
        ("difference", (9.7e-10,), "error"),
        ("W1 relative error", (2.21e-07,), "error"),
        ("dx error", (1e-9,), "error"),
        ("Initial loss", (2.3,), "loss"),
    ]
    assert ("Speedup", (474.4,), "time") in found
    assert ("Naive", (0.25,), "time") in found
    assert ("Mean of train-time output", (9.98,), "other") in found  # which is compared
    assert ("means", (-2.38, -13.1, 1.9), "other") in found
    assert ("Difference between your scores", (3.4e-08,), "error") in found
    assert math.isnan(found[-1][1][0])
    assert not any(label.startswith(("Running", "shape")) for label, _, _ in found)


def test_a_training_log_is_one_row_a_column():
    printed = (
        "(Iteration 1 / 4) loss: 2.4\n(Epoch 0 / 1) train acc: 0.2; val_acc: 0.1\n"
        "(Iteration 2 / 4) loss: 1.5\n(Epoch 1 / 2) train acc: 0.6; val_acc: 0.3\n"
        "(Epoch 2 / 2) train acc: 0.5; val_acc: 0.2\n"
    )
    assert labels("", printed) == [
        ("training losses (2)", (2.4, 1.5), "log"),
        ("train accuracies (3)", (0.2, 0.6, 0.5), "log"),
        ("val accuracies (3)", (0.1, 0.3, 0.2), "log"),
        ("best training accuracy", (0.6,), "accuracy"),
        ("best validation accuracy", (0.3,), "accuracy"),
    ]


def test_each_line_is_traced_to_the_print_that_made_it():
    source = (
        "print('loss: ', a)\nprint('dx error: ', b)\n\nprint('loss: ', c)\n"
        "print(f'{name} relative error: {e}')\nprint('%s max error: %e' % (n, e))\n"
        "print('velocity error: {}'.format(e))"
    )
    printed = (
        "loss: 9\ndx error: 1\nloss: 2.3\nW1 relative error: 1\nW2 max error: 1\nvelocity error: 2"
    )
    assert [q.line for q in quantities(source, printed)] == [1, 2, 4, 5, 6, 7]


# the verdict


def stream(*lines):
    return [new_output("stream", name="stdout", text="\n".join(lines) + "\n")]


def verdicts(source, now, then=(), markdown=""):
    earlier = stream(*then) if then else []
    return [f.verdict for f in judge_cell(3, source, markdown, stream(*now), earlier)]


TWO = """
# Test svm_loss. Loss should be around 9 and dx error should be around the order of e-9
print('loss: ', loss)
print('dx error: ', e)
# Test softmax_loss. Loss should be close to 2.3 and dx error should be around e-8
print('loss: ', loss)
print('dx error: ', e)
"""


def test_every_figure_meets_the_comment_above_its_own_print():
    good = ("loss: 8.999", "dx error: 1.4e-9", "loss: 2.3025", "dx error: 9.4e-9")
    assert verdicts(TWO, good) == [KEPT] * 4
    assert verdicts(TWO, ("loss: 8.999", "dx error: 9.4e-8", "loss: 2.3", "dx error: 9.4e-8")) == [
        KEPT, BROKEN, KEPT, KEPT]  # fmt: skip
    assert verdicts(TWO, ("loss: 2.3", "dx error: 1e-9", "loss: 9.0", "dx error: 1e-9")) == [
        BROKEN, KEPT, BROKEN, KEPT]  # fmt: skip


def test_the_text_before_the_cell_counts_where_the_cell_says_nothing():
    source = "print('next_w error: ', e)"
    asked = "Run this. You should see errors less than e-8."
    assert verdicts(source, ["next_w error: 8.8e-9"], markdown=asked) == [KEPT]
    assert verdicts(source, ["next_w error: 1.2e-8"], markdown=asked) == [BROKEN]
    assert verdicts(source, ["next_w error: 1.2e-8"]) == [""]
    assert verdicts(source, ["next_w error: 1.2e-8"], ["next_w error: 8e-9"]) == [SAME]
    assert verdicts(source, ["next_w error: 1.2e-8"], ["next_w error: 8e-10"]) == [DIFFERS]


def test_a_bound_that_is_printed_holds_to_the_next_empty_line():
    printed = ["If it works, error should be less than 1e-9::", "dx error: 1e-8", "", "", "Next:",
               "W1 relative error: 1e-7"]  # fmt: skip
    assert verdicts("test()", printed) == [BROKEN, ""]


def test_what_missed_its_bound_then_may_miss_it_now():
    source = "# errors should be around e-9\nprint('dx error: ', e)"
    assert verdicts(source, ["dx error: 3e-8"], ["dx error: 2e-8"]) == [AS_THEN]
    assert verdicts(source, ["dx error: 3e-7"], ["dx error: 2e-8"]) == [BROKEN]  # ten times worse
    assert verdicts(source, ["dx error: 1.2e-8"], ["dx error: 9e-9"]) == [BROKEN]


def test_where_nothing_is_seeded_the_draw_may_miss_a_bound_by_little():
    source = "# errors should be around e-9\nprint('dx error: ', e)"
    for value, seeded, verdict in (
        ("9e-6", False, NEAR),
        ("9e-8", True, BROKEN),
        ("2e-5", False, BROKEN),
        ("nan", False, BROKEN),
    ):
        outputs = stream(f"dx error: {value}")
        (found,) = judge_cell(0, source, "", outputs, [], seeded=seeded)
        assert (found.verdict, found.judged) == (verdict, True)
    for value, verdict in ((0.05, NEAR), (0.2, BROKEN)):  # a bound that is itself loose
        loose = "# errors should be less than 0.01\nprint('W2 max error: ', e)"
        (found,) = judge_cell(0, loose, "", stream(f"W2 max error: {value}"), [], seeded=False)
        assert found.verdict == verdict
    loose = "# errors should be less than 1e-4\nprint('W2 max error: ', e)"
    (found,) = judge_cell(0, loose, "", stream("W2 max error: 0.02"), [], seeded=False)
    assert found.verdict == BROKEN
    loss = "# Loss should be around 9\nprint('loss: ', e)"
    (found,) = judge_cell(0, loss, "", stream("loss: 12"), [], seeded=False)
    assert found.verdict == BROKEN


def test_losses_are_compared_with_the_earlier_output():
    source = "print('Initial loss: ', loss)"
    assert verdicts(source, ["Initial loss: 2.3004790897684924"], ["Initial loss: 2.30047909"]) == [
        SAME]  # fmt: skip
    assert verdicts(source, ["Initial loss: 2.3004"], ["Initial loss: 2.3005"]) == [DIFFERS]
    found = judge_cell(3, source, "", stream("Initial loss: 2.5"), stream("Initial loss: 2.3"))
    assert (found[0].cell, found[0].now, found[0].then) == (3, (2.5,), (2.3,))


def test_an_accuracy_meets_the_share_that_is_asked_for():
    source = "print('Validation set accuracy: ', a)"
    asked = "You should achieve above 50% accuracy on the validation set."
    assert verdicts(source, ["Validation set accuracy: 0.53"], markdown=asked) == [KEPT]
    assert verdicts(source, ["Validation set accuracy: 0.49"], markdown=asked) == [BROKEN]


@pytest.mark.parametrize(
    "words",
    [
        "lr 1e-3 and reg 1e-4",
        "h = 1e-5",
        "学习率 1e-3，正则 5e-6",
        "die Lernrate ist 1e-3",
        "use a learning rate of 1e-3",
    ],
)
def test_a_setting_is_no_bound(words):
    assert bounds_in(words) == []


def test_names_between_chinese_words_are_read():
    (bound,) = bounds_in("注意：W2和b1的误差在 e-5 量级也可以")
    assert bound.names == ("W2", "b1")
    plain, exception = bounds_in("误差应约为 e-7。 当 reg = 0 时，W2 的误差在 e-5 量级")
    assert bound_for(error("W2 relative error", 1e-5), [plain, exception]) is exception
    assert bound_for(error("b1 relative error", 1e-5), [plain, exception]) is plain


@pytest.mark.parametrize(
    ("words", "shares"),
    [
        ("You should get above 48% on the validation set.", [("validation", 0.48)]),
        ("Evaluate it on the test set; you should get above 48%.", [("test", 0.48)]),
        ("Reach an accuracy of more than 0.55 on the test set", [("test", 0.55)]),
        ("在验证集上达到 45% 以上的准确率", [("validation", 0.45)]),
        ("Above 50 percent on training and above 40% on validation",
         [("training", 0.5), ("validation", 0.4)]),
        ("Our best network gets over 52% on the validation set.", []),
        ("Train more than 20 epochs and watch the validation accuracy.", []),
        ("Use at least 50 hidden units; plot the training and validation accuracy.", []),
        ("Use a dropout of at least 0.5 on the training set.", []),
    ],
)  # fmt: skip
def test_a_share_needs_its_percent_sign_or_its_accuracy(words, shares):
    assert share_in(words) == shares


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("lr 1e-07 reg 2.5e+04 train accuracy: 0.36 val accuracy: 0.38",
         [("train accuracy", 0.36, "accuracy"), ("val accuracy", 0.38, "accuracy")]),
        ("numerical: 3.1 analytic: 3.1, relative error: 1e-09", [("relative error", 1e-9, "error")]),
        ("val accuracy: 52.3%", [("val accuracy", 0.523, "accuracy")]),
        ("validation accuracy: 52.3", [("validation accuracy", 0.523, "accuracy")]),
        ("images for the validation accuracy: 1000",
         [("images for the validation accuracy", 1000.0, "other")]),
        ("learning rate of the best validation accuracy: 0.001",
         [("learning rate of the best validation accuracy", 0.001, "other")]),
        ("target accuracy: 0.48", [("target accuracy", 0.48, "other")]),
        ("loss after 10 steps: 2.2", [("loss after 10 steps", 2.2, "loss")]),
        ("dx 误差：1e-9", [("dx 误差", 1e-9, "error")]),
        ("loss shape: (3, 4)", []),
        ("val accuracy: 0.52 (epoch 3)", [("val accuracy", 0.52, "accuracy")]),
        ("Accuracy: 27 / 100", []),
        ("Testing the loss with reg = 0.5", []),
        ("--- dropout = 0.25", []),
        ("hidden size: 50", []),
    ],
)  # fmt: skip
def test_numbers_and_headings_are_told_from_figures(line, found):
    assert [(q.label, q.values[0], q.kind) for q in quantities("", line)] == found


def test_a_line_of_loop_variables_is_a_heading():
    source = "for a, b in pairs:\n    print('pair: ', a)\n    print('sum: ', a + c)"
    assert [q.label for q in quantities(source, "pair:  3\nsum:  4")] == ["sum"]


def test_a_search_is_held_to_its_share_by_its_best_row():
    asked = "The best should get above 50% accuracy on the validation set."
    source = "print('validation accuracy: ', a)"
    rows = [f"validation accuracy:  {share}" for share in (0.2, 0.53, 0.4)]
    assert verdicts(source, rows, markdown=asked) == ["", KEPT, ""]
    assert verdicts(source, rows[::2], markdown=asked) == ["", BROKEN]
    best = [
        *rows,
        "best validation accuracy:  0.48",
    ]  # the row called best is asked, not the largest
    assert verdicts(source, best, markdown=asked) == ["", "", "", BROKEN]


def test_a_figure_of_the_earlier_output_that_is_not_printed_is_listed():
    source = "# errors should be around e-9\nprint('dx error: ', e)\nprint('took: ', t)"
    then = stream("dx error: 2e-9", "took: 3.1", "(Iteration 1 / 9) loss: 2.3")
    (found,) = judge_cell(4, source, "", [], then)
    assert (found.quantity, found.now, found.then) == ("dx error", (), (2e-9,))
    assert (found.bound, found.verdict, found.judged) == ("~ e-9", MISSING, False)


def test_figures_are_shown_short_and_whole():
    assert shown((2.3004790897684924,)) == "2.300479"
    assert shown((5.399100368651805e-11,)) == "5.399e-11"
    assert shown((1.0, 2.0, 0.25)) == "1 … 0.25"
    assert shown(()) == "-"


def test_a_bound_beside_the_print_is_of_that_print_alone():
    source = "print('dx error: ', a)  # should be < 1e-8\nprint('dw error: ', b)"
    assert verdicts(source, ["dx error: 2e-8", "dw error: 2e-8"]) == [BROKEN, ""]


def test_a_printed_heading_that_names_a_setting_states_no_bound():
    source = "# errors should be around e-9\nprint('Numerical errors with h = 1e-3:')\nprint('dx error: ', e)"
    printed = ["Numerical errors with h = 1e-3:", "dx error: 1e-4"]
    assert verdicts(source, printed) == [BROKEN]


def test_where_nothing_is_seeded_an_accuracy_may_miss_its_share_by_luck():
    source, asked = (
        "print('Validation accuracy: ', accuracy)",
        "Get more than 65% on the validation set.",
    )
    for accuracy, seeded, verdict in (
        (0.66, True, KEPT),
        (0.649, False, NEAR),
        (0.649, True, BROKEN),
        (0.62, False, BROKEN),
    ):
        outputs = stream(f"Validation accuracy: {accuracy}")
        (found,) = judge_cell(0, source, asked, outputs, [], seeded=seeded)
        assert found.verdict == verdict


def test_one_random_place_of_a_gradient_may_miss_a_bound_by_little():
    source = "# errors should be around 1e-7\nnet.grad_check_sparse(X, y, grad)"
    for number, verdict in (("5e-7", KEPT), ("5e-5", NEAR), ("5e-2", BROKEN)):
        line = f"numerical: 0.1 analytic: 0.1, relative error: {number}"
        assert verdicts(source, [line]) == [verdict]


def test_the_bias_before_a_batch_norm_compares_rounding():
    source = "net = Net(normalization='batchnorm')\n# errors around 1e-8\nprint('b1 relative error: ', e)"
    assert verdicts(source, ["b1 relative error: 2e-6"]) == [NEAR]
    assert verdicts(source, ["b1 relative error: 2e-2"]) == [BROKEN]
    assert verdicts(source, ["W1 relative error: 2e-6"]) == [BROKEN]
    plain = source.replace("normalization='batchnorm'", "reg=0")
    assert verdicts(plain, ["b1 relative error: 2e-6"]) == [BROKEN]


def test_dwh_of_an_lstm_is_off_for_everyone():
    source = "dx, dWh = lstm_backward(dout, cache)\n# errors around e-8\nprint('dWh error: ', e)"
    assert verdicts(source, ["dWh error: 2.7e-6"]) == [KEPT]
    assert verdicts(source, ["dWh error: 2e-5"]) == [BROKEN]
    assert verdicts(source.replace("dWh error", "dx error"), ["dx error: 2.7e-6"]) == [BROKEN]
    assert verdicts(source.replace("lstm_", "rnn_"), ["dWh error: 2.7e-6"]) == [BROKEN]


def test_counts_in_a_label_do_not_tell_figures_apart():
    now = numbered(quantities("", "Got 136 / 500 correct => accuracy: 0.272000"))
    then = dict(numbered(quantities("", "Got 141 / 500 correct => accuracy: 0.282000")))
    ((key, figure),) = now
    assert figure.values == (0.272,)
    assert then[key].values == (0.282,)
    other = numbered(quantities("", "Got 136 / 100 wrong => accuracy: 0.272000"))
    assert other[0][0] not in then


def test_a_list_of_packages_holds_no_figures():
    listed = "idna==2.8\nnumpy>=1.16\nJinja2 == 2.10\ndx error:  1e-9\n"
    (found,) = quantities("print('dx error: ', e)", listed)
    assert found.label == "dx error"
    assert not judge_cell(0, "!cat requirements.txt", "", [], stream("accuracy: 0.3"))


@pytest.mark.parametrize(
    ("now", "then", "verdict"),
    [
        ("0.000000", "2.406961", "differs"),
        ("2.406961", "2.406961", "same"),
        ("1e-10", "3e-8", "same"),
        ("3e-8", "1e-10", "differs"),
    ],
)
def test_an_error_that_is_gone_is_not_the_same(now, then, verdict):
    label = "Loss difference: "
    (found,) = judge_cell(0, "print('x')", "", stream(label + now), stream(label + then))
    assert found.verdict == verdict
