"""Takes away what Windows lacks: imported when Python starts, where this folder is on PYTHONPATH.

``pytest --portable`` puts it there, so that the tests, and each process that they start, have no fork, no
groups of processes, no limits, no signals but those of C, and no /proc.  The standard library keeps what it
needs to start and end processes, other libraries what they use on Linux (os.uname).
"""

import builtins
import importlib.abc
import io
import os
import signal
import subprocess
import sys

FUNCTIONS = (
    "fork", "forkpty", "killpg", "getpgid", "getpgrp", "setpgid", "setsid", "getsid", "register_at_fork",
    "sched_getaffinity", "sched_setaffinity", "sched_yield", "sched_getparam", "mkfifo", "nice",
    "getloadavg", "wait", "wait3", "wait4", "waitid",
)  # fmt: skip
SIGNALS = ("SIGKILL", "SIGALRM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGQUIT", "SIGSTOP", "SIGCONT", "SIGXCPU",
           "alarm", "setitimer", "getitimer", "pthread_kill", "pthread_sigmask", "sigwait")  # fmt: skip
MODULES = ("resource", "pwd", "grp")
OPENED = {"open", "stat", "lstat", "listdir", "scandir", "readlink"}


def without_proc(function):
    """Return `function`, to which nothing in /proc exists."""

    def wrapped(path=".", *arguments, **options):
        if isinstance(path, str | os.PathLike) and os.fspath(path).startswith("/proc"):
            raise FileNotFoundError(2, "No such file or directory", os.fspath(path))
        return function(path, *arguments, **options)

    return wrapped


class Missing(importlib.abc.MetaPathFinder):
    """Finds no PyTorch: that of Linux needs os.register_at_fork."""

    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name=name)


def take_away():
    """Take everything away, once."""
    if not hasattr(os, "fork"):
        return
    subprocess.Popen.kill = lambda self, number=signal.SIGKILL: self.send_signal(number)
    for name in FUNCTIONS:
        if hasattr(os, name):
            delattr(os, name)
    for name in SIGNALS:
        if hasattr(signal, name):
            delattr(signal, name)
    sys.modules.update(dict.fromkeys(MODULES))
    sys.meta_path.insert(0, Missing())
    for name in OPENED:
        before = getattr(os, name)
        after = without_proc(before)
        for group in (os.supports_follow_symlinks, os.supports_fd):
            if before in group:
                group.add(after)
        setattr(os, name, after)
    builtins.open = io.open = without_proc(open)


take_away()
