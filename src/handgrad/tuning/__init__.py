"""Searches for good settings with Optuna (extra ``tune``): many runs of one configuration.

=============  ========================================================================================
file           what it holds
=============  ========================================================================================
`space`        what is searched, from a TOML file
`settings`     all that a search is
`methods`      samplers and pruners of Optuna by name
`storage`      where the trials are written down: a journal file, or a database by its URL
`places`       the locks of the processes of one folder
`trials`       which trial a process computes next, and how
`worker`       the process that computes trials
`search`       the workers of one command
`page`         the study page, and the best configuration
=============  ========================================================================================
"""

from handgrad.tuning.search import Search, settings_of
from handgrad.tuning.settings import Settings
from handgrad.tuning.space import Space

__all__ = ["Search", "Settings", "Space", "settings_of"]
