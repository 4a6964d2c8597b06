"""Profiles: which there are, and what each says that calls cannot tell."""

import pytest

from handgrad.courses import PROFILES, get_profile
from handgrad.errors import OptionError


def test_every_generation_has_a_profile():
    years = [f"cs231n-{year}" for year in range(2016, 2027)]
    assert list(PROFILES) == [*years, "nndl-drop", "nndl-keep", "nndl-2024-mix", "skynet"]
    assert all(name == profile.name for name, profile in PROFILES.items())


@pytest.mark.parametrize(
    ("names", "dropout", "option", "normalization"),
    [
        (["cs231n-2016", "cs231n-2017"], "drop", ("dropout", 0), "use_batchnorm"),
        (["cs231n-2018", "cs231n-2020"], "keep", ("dropout", 1), "normalization"),
        (["cs231n-2021", "cs231n-2026"], "keep", ("dropout_keep_ratio", 1), "normalization"),
        (["nndl-drop", "skynet"], "drop", ("dropout", 0), "use_batchnorm"),
        (["nndl-keep"], "keep", ("dropout", 1), "use_batchnorm"),
        (["nndl-2024-mix"], "keep", ("dropout", 0), "use_batchnorm"),
    ],
)
def test_dropout_and_keywords(names, dropout, option, normalization):
    for name in names:
        profile = PROFILES[name]
        assert profile.dropout == dropout
        assert profile.dropout_option == option
        assert profile.normalization_option == normalization


def test_adam_counts_from_one_in_2017_alone():
    assert [name for name, profile in PROFILES.items() if profile.adam_t] == ["cs231n-2017"]


def test_packages():
    assert PROFILES["cs231n-2020"].packages == ("cs231n",)
    assert PROFILES["nndl-keep"].packages == ("nndl", "cs231n")
    assert PROFILES["skynet"].packages == ("skynet",)


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(OptionError, match=r"cs231n-2020.*'skynet'; got 'cs231n'"):
        get_profile("cs231n")
