"""Update rules and learning-rate schedules: pure functions of arrays and numbers, by name."""

from handgrad.optim.clipping import clip_by_norm, global_norm
from handgrad.optim.muon import muon, orthogonal
from handgrad.optim.rules import (
    RULES,
    adadelta,
    adagrad,
    adam,
    adamw,
    get_rule,
    leaves_weights,
    rmsprop,
    settings_of,
    sgd,
    sgd_momentum,
    sgd_nesterov_momentum,
)
from handgrad.optim.schedules import SCHEDULES, Schedule, build_schedule
from handgrad.optim.settings import DECAYS, Rule, keys_of

__all__ = [
    "DECAYS",
    "RULES",
    "SCHEDULES",
    "Rule",
    "Schedule",
    "adadelta",
    "adagrad",
    "adam",
    "adamw",
    "build_schedule",
    "clip_by_norm",
    "get_rule",
    "global_norm",
    "keys_of",
    "leaves_weights",
    "muon",
    "orthogonal",
    "rmsprop",
    "settings_of",
    "sgd",
    "sgd_momentum",
    "sgd_nesterov_momentum",
]
