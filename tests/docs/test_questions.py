"""A newcomer's questions are answered at most two clicks from the landing page."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
QUESTIONS = {  # question -> page, words of the answer
    "How do I pad unevenly?": ("questions.md", "`pad` may be a pair"),
    "What is eps for?": ("tutorials/batchnorm-derived.md", "keeps the division finite"),
    "Why is my loss 2.3?": ("tutorials/initialisation.md", "guesses among ten classes"),
    "What shape has the cache?": ("getting-started.md", "Forward gives the output and a cache"),
    "Which losses are there for numbers?": ("layers.md", "`huber_loss`"),
    "How do I check my own layer?": ("tutorials/first-pair.md", "check_pair"),
    "How do I train on my photographs?": ("your-images.md", "handgrad train --data photos"),
    "How do I go on after a crash?": ("training.md", "--resume RUN"),
    "How do I use the network in C?": ("interop.md", "C"),
    "What does the course's p mean?": ("questions.md", "probability to keep a unit"),
    "How do I write a rubric?": ("checker.md", "[points]"),
    "How do I save a network?": ("questions.md", "`load_weights` puts its weights back"),
    "How do I let the learning rate fall?": ("questions.md", "By a schedule"),
    "Is there early stopping?": ("questions.md", "Early stopping is `Solver(..., patience=5)`"),
    "What if one class is rare?": ("tasks.md", 'class_weight="balanced"'),
    "What if a batch is too large?": ("tasks.md", "With `accumulate=n` the gradient of a batch"),
    "Where is the confusion matrix?": (
        "questions.md",
        "`handgrad evaluate RUN` prints the confusion",
    ),
    "Can it use a GPU?": ("three-libraries.md", "`handgrad train --device cuda`"),
    "How do I freeze layers?": ("fine-tuning.md", "`--freeze` names parameters that stay"),
    "How many threads does it use?": ("engines.md", "`engines.set_threads(n)` sets the number"),
    "What becomes of missing values?": ("questions.md", "becomes the median of the training rows"),
    "Why do gradients explode?": ("questions.md", "make them explode"),
    "Is there a finder for the learning rate?": ("questions.md", "`handgrad lr-find` trains"),
    "How do I compare with PyTorch?": (
        "questions.md",
        "names the first layer whose numbers differ",
    ),
    "How do I predict on a CSV file?": ("questions.md", "`handgrad predict RUN new.csv"),
    "How do I export an estimator?": ("scikit-learn.md", "writes a fitted estimator as a file"),
    "What does an exported table take?": ("interop.md", "takes numbers, one for each column"),
    "Does it find copied work?": ("checker.md", "alike in structure, whatever their names"),
    "Why is one element of the gradient wrong?": ("questions.md", "points at a kink or a tie"),
    "What is a dead ReLU?": ("questions.md", "below 0 for every row"),
    "How do I train on a CSV file?": ("questions.md", "--target price"),
    "What about overfitting?": ("questions.md", "far above the validation accuracy"),
    "How do I take weights from PyTorch?": ("questions.md", "`interop.load_state_dict` reads"),
    "How do I plot the loss?": ("questions.md", "`solver.loss_history` is the list of losses"),
    "Is there attention?": ("questions.md", "no attention layers"),
    "Is there bfloat16?": ("questions.md", "`--set training.precision=bf16`"),
    "Which update rule divides by past gradients?": ("update-rules.md", "`adagrad`"),
}


def links_of(page):
    """The pages that a page leads to: its links, and the entries of its lists of pages."""
    text = (DOCS / page).read_text("utf-8")
    home = Path(page).parent
    found = re.findall(r"\]\(([^)#:]+\.md)", text)
    for tree in re.findall(r"```\{toctree\}\n(.*?)```", text, re.S):
        entries = [line for line in tree.splitlines() if line and not line.startswith(":")]
        found += [f"{entry}.md" for entry in entries if "*" not in entry]
    places = [(DOCS / home / target).resolve() for target in found]
    return {place.relative_to(DOCS).as_posix() for place in places if place.exists()}


@pytest.mark.parametrize("question", QUESTIONS)
def test_two_clicks(question):
    page, words = QUESTIONS[question]
    assert words in re.sub(r"\s+", " ", (DOCS / page).read_text("utf-8"))
    first = links_of("index.md")
    assert page in first.union(*(links_of(one) for one in first))
