"""The group of commands, each imported when it is called, and the one place that handles errors."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Sequence

import click

import handgrad
from handgrad.cli.failures import failure

# command -> one line of help; the command is handgrad.cli.<command>.command
COMMANDS = {
    "train": "Train a network and write a run folder with its report.",
    "lr-find": "Find the learning rate to begin with, by a short training.",
    "evaluate": "Measure a trained run on its test set, class by class.",
    "predict": "Classify image files with a trained run.",
    "export": "Write a trained network for ONNX, PyTorch, Keras, NumPy alone or C.",
    "compare": "Name the first layer at which two networks part, and why.",
    "check": "Judge layers, losses, update rules and models: right, or what is wrong.",
    "tune": "Search for good settings with Optuna: many runs of one configuration.",
    "experiment": "Do the courses' studies: numbers, a figure, two sentences about it.",
    "bench": "Time this machine: Handgrad and PyTorch on the same work, verified first.",
    "verify-resume": "Prove that a run can be stopped and resumed without a trace.",
    "lab": "Show runs, live and finished, on a page in the browser.",
    "report": "Write the report of a run again.",
    "card": "Write the model card of a run, in Markdown.",
    "data": "Get, verify and look at the data sets.",
    "course": "Make a course to hand out: exercises, tests, rubric, solutions.",
    "notebook": "Run the courses' own notebooks and judge what they print.",
    "scaling": "Predict the speed of one training on many machines.",
    "doctor": "Say what is installed, what is slow, and how to mend it.",
}


class LazyGroup(click.Group):
    """A group that imports a command's module only when that command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, in the order of the help text."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import and return the command `name`, or None if there is none."""
        if name not in COMMANDS:
            return None
        return importlib.import_module(f"handgrad.cli.{name.replace('-', '_')}").command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with:  handgrad train",
)
@click.version_option(handgrad.__version__, prog_name="handgrad")
def cli() -> None:
    """Neural networks whose every gradient is written by hand."""


# click before 8.2 prints the help itself
_NoArguments = getattr(click.exceptions, "NoArgsIsHelpError", ())


def run(arguments: Sequence[str]) -> int:
    """Run the command line `arguments` and return the exit code; mistakes are one line on stderr."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", UserWarning)
            warnings.showwarning = lambda message, *place: _complain(f"warning: {message}")
            code = cli.main(list(arguments), prog_name="handgrad", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except _NoArguments as error:
        click.echo(error.ctx.get_help() if error.ctx else "")
        return 0
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except BaseException as error:
        found = failure(error)
        if found is None:
            raise
        _complain(found[0])
        if isinstance(error, click.UsageError) and error.ctx:
            click.echo(f"Try: {error.ctx.command_path} --help", err=True)
        return found[1]


def _complain(message: str) -> None:
    click.echo(f"handgrad: {message.strip()}", err=True)
