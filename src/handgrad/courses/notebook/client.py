"""The kernel's client: this very Python, in a folder of its own, out of reach of the user's settings."""

from __future__ import annotations

import copy
import os
import sys
from pathlib import Path
from typing import Any

from handgrad.courses.notebook.read import package


def make_client(notebook: Any, folder: Path, timeout: int) -> Any:
    """Return a notebook client whose kernel is this very Python."""
    package("ipykernel")  # the kernel itself
    spec_class = package("jupyter_client.kernelspec").KernelSpec
    manager: type = package("jupyter_client.manager").AsyncKernelManager

    class ThisPython(manager):  # type: ignore[misc]
        """Starts kernels of the running interpreter, whatever the notebook's file names."""

        def __init__(self, **options: Any) -> None:
            if os.name == "posix":  # sockets in the temporary folder, no open ports
                options |= {"transport": "ipc", "ip": str(_aside(folder) / "kernel")}
            super().__init__(**options)

        @property
        def kernel_spec(self) -> Any:
            argv = [sys.executable, "-Xfrozen_modules=off", "-m", "ipykernel_launcher", "-f",
                    "{connection_file}"]  # fmt: skip
            return spec_class(argv=argv, display_name="Handgrad", language="python")

    return package("nbclient").NotebookClient(
        copy.deepcopy(notebook),  # it puts every cell that it runs into its notebook
        timeout=timeout,
        kernel_name="python3",
        kernel_manager_class=ThisPython,
        allow_errors=True,
        resources={"metadata": {"path": str(folder)}},
    )


def _aside(folder: Path) -> Path:
    """Return the folder beside `folder` for what IPython and Jupyter write."""
    aside = folder.parent / "aside"
    aside.mkdir(exist_ok=True)
    return aside


def environment(folder: Path) -> dict[str, str]:
    """Return the kernel's environment: this one's, with IPython's and Jupyter's folders set aside."""
    environment = {key: value for key, value in os.environ.items() if key != "MPLBACKEND"}
    paths = [str(Path(path).absolute()) for path in _entries(environment.get("PYTHONPATH", ""))]
    if paths:  # the kernel runs in another folder
        environment["PYTHONPATH"] = os.pathsep.join(paths)
    aside = str(_aside(folder))
    return environment | {
        "IPYTHONDIR": aside,
        "JUPYTER_RUNTIME_DIR": aside,
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }


def _entries(path: str) -> list[str]:
    return [entry for entry in path.split(os.pathsep) if entry]
