"""Profiles: what the calls of a notebook cannot tell about its course and generation.

A dropout of 0.25 is legal both where it means "drop" and where it means "keep"; the first step of
Adam and the names of keywords and state keys differ as well.  A profile says which it is; what follows
from it (modules, classes, the rules' state keys) is in `handgrad.courses.shims`.

``bn_param`` means the same in all profiles: running averages start at zero, are kept in the dictionary,
and ``mode`` is obeyed.  The networks of 2016, nndl and skynet never left the training mode, by a slip in
their own files; that is not repeated, since no published figure depends on it.
"""

from __future__ import annotations

from dataclasses import dataclass

from handgrad.errors import check_choice


@dataclass(frozen=True)
class Profile:
    """One generation of one course.

    Attributes:
        name: as in "cs231n-2020".
        course: "cs231n", "nndl" or "skynet".
        packages: the top-level packages whose imports it answers.
        dropout: what the number of `dropout` and ``dropout_param["p"]`` is the probability of,
            "drop" or "keep".  As an option of a network 0 and 1 both mean no dropout.
        dropout_option: the networks' keyword for it, and its default.
        normalization_option: the networks' keyword, "normalization" or "use_batchnorm".
        adam_t: Adam's count of steps before the first one.
        year: of the course; the last one of those that share a profile.
        description: one line.

    >>> from handgrad.courses import PROFILES  # doctest: +SKIP
    """

    name: str
    course: str
    packages: tuple[str, ...]
    dropout: str
    dropout_option: tuple[str, int]
    normalization_option: str
    year: int
    description: str
    adam_t: int = 0


def _cs231n(year: int) -> Profile:
    drops = year <= 2017
    option = ("dropout", 0) if drops else ("dropout", 1)
    return Profile(
        name=f"cs231n-{year}",
        course="cs231n",
        packages=("cs231n",),
        dropout="drop" if drops else "keep",
        dropout_option=option if year <= 2020 else ("dropout_keep_ratio", 1),
        normalization_option="use_batchnorm" if drops else "normalization",
        year=year,
        description=f"Stanford CS231n, {year}",
        adam_t=1 if year == 2017 else 0,
    )


def _nndl(era: str, dropout: str, default: int, year: int, description: str) -> Profile:
    return Profile(
        name=f"nndl-{era}",
        course="nndl",
        packages=("nndl", "cs231n"),
        dropout=dropout,
        dropout_option=("dropout", default),
        normalization_option="use_batchnorm",
        year=year,
        description=f"UCLA C147/C247 (nndl), {description}",
    )


_ALL = (
    *(_cs231n(year) for year in range(2016, 2027)),
    _nndl("drop", "drop", 0, 2019, "dropout is the probability of dropping"),
    _nndl("keep", "keep", 1, 2025, "dropout is the probability of keeping"),
    _nndl("2024-mix", "keep", 0, 2024, "notebooks that drop with layers that keep; 0 is off"),
    Profile(
        name="skynet",
        course="skynet",
        packages=("skynet",),
        dropout="drop",
        dropout_option=("dropout", 0),
        normalization_option="use_batchnorm",
        year=2016,
        description="the skynet project, after CS231n 2016",
    ),
)

PROFILES: dict[str, Profile] = {profile.name: profile for profile in _ALL}


def get_profile(name: str) -> Profile:
    """Return the profile called `name`; OptionError lists the known ones.

    >>> get_profile("cs231n-2017").dropout
    'drop'
    """
    check_choice("courses", "course", name, PROFILES)
    return PROFILES[name]
