"""``python -m handgrad.cli`` is the ``handgrad`` command."""

from handgrad.cli import main

main()
