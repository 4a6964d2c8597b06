"""The install where nothing compiles: pure Python that says why, once, in one line."""

import importlib.util
import os
import subprocess
import sys
import types
import zipfile
from pathlib import Path

import pytest

import handgrad
from handgrad import engines

ROOT = Path(__file__).parents[1]
PACKAGE = Path(handgrad.__file__).parent
REASON = "native/core/buffers.cpp:3:10: fatal error: cstdio: No such file or directory"


@pytest.fixture
def backend(monkeypatch):
    """``native/build_backend.py`` with another backend in scikit-build-core's place."""
    names = ("build_sdist", "build_wheel", "build_editable", "get_requires_for_build_editable",
             "get_requires_for_build_sdist", "get_requires_for_build_wheel")  # fmt: skip
    build = types.ModuleType("scikit_build_core.build")
    for name in names:
        setattr(build, name, None)
    whole = types.ModuleType("scikit_build_core")
    whole.build = build
    monkeypatch.setitem(sys.modules, "scikit_build_core", whole)
    monkeypatch.setitem(sys.modules, "scikit_build_core.build", build)
    spec = importlib.util.spec_from_file_location("backend", ROOT / "native/build_backend.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (f"[1/9] Building CXX object a.o\nFAILED: a.o\n\x1b[1m{REASON}\x1b[0m\n 3 | #include", REASON),
        (
            "-- The CXX compiler is unknown\nCMake Error at x/y.cmake:71 (message):\n"
            '  The C++ compiler\n\n    "/bin/false"\n\n  is not able to compile a simple test program.\n\n'
            "  It fails with the following output:\n\n    x\n\n-- x",
            'The C++ compiler "/bin/false" is not able to compile a simple test program.',
        ),
        (
            "CMake Error at CMakeLists.txt:2 (project):\n  No CMAKE_CXX_COMPILER could be found.\n\n"
            "CMake Error: CMAKE_CXX_COMPILER not set, after EnableLanguage\n",
            "No CMAKE_CXX_COMPILER could be found.",
        ),
        ("conv.cpp(3): error C2065: 'x': undeclared", "conv.cpp(3): error C2065: 'x': undeclared"),
        ("ninja: build stopped: killed\n", "ninja: build stopped: killed"),
        ("", "the build said nothing"),
        (f"a.cpp: error: {'x' * 400}", f"a.cpp: error: {'x' * 283}..."),
    ],
)  # fmt: skip
def test_the_first_error_of_a_build(backend, said, reason):
    assert backend.first_error(said) == reason


class TestBuild:
    @pytest.fixture(autouse=True)
    def folder(self, tmp_path, monkeypatch, backend):
        monkeypatch.chdir(tmp_path)
        monkeypatch.delenv("HANDGRAD_NATIVE", raising=False)
        backend.REASON.parent.mkdir(parents=True)
        self.calls = []
        backend.backend.build_wheel = self.build

    def build(self, directory, settings=None, metadata=None):
        """Fail like a compiler, unless nothing is to be compiled."""
        reason = Path("src/handgrad/engines/native_missing.txt")
        self.calls.append(reason.read_text("utf-8") if reason.exists() else None)
        if (settings or {}).get("wheel.cmake") == "false":
            assert (
                settings["wheel.py-api"] == "py3"
            )  # a tag of the stable ABI wants a compiled module
            return "handgrad-py3-none-any.whl"
        os.write(2, f"{REASON}\n".encode())
        raise SystemExit(1)

    def test_a_failure_ends_in_pure_python_with_the_reason(self, backend, capfd):
        assert backend.build_wheel("dist") == "handgrad-py3-none-any.whl"
        assert self.calls == [None, REASON + "\n"]
        assert not backend.REASON.exists()  # it belongs into the wheel, not among the sources
        assert REASON in capfd.readouterr().out  # the compiler is heard all the same

    def test_a_failure_is_one_where_the_engine_is_wanted(self, backend, monkeypatch):
        monkeypatch.setenv("HANDGRAD_NATIVE", "1")
        with pytest.raises(SystemExit):
            backend.build_wheel("dist")
        assert self.calls == [None]

    def test_nothing_is_compiled_where_it_is_not_wanted(self, backend, monkeypatch):
        monkeypatch.setenv("HANDGRAD_NATIVE", "0")
        backend.build_wheel("dist")
        assert self.calls == ["this is the pure-Python wheel\n"]

    def test_a_success_is_built_once(self, backend):
        backend.backend.build_wheel = lambda *_: "handgrad-cp312-abi3-linux.whl"
        assert backend.build_wheel("dist") == "handgrad-cp312-abi3-linux.whl"
        assert self.calls == []


@pytest.fixture(scope="module")
def pure(tmp_path_factory):
    """A folder with the package as it is installed where the compiler fails."""
    folder = tmp_path_factory.mktemp("pure")
    archive = folder / "package.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(PACKAGE.rglob("*")):
            if path.suffix in (".pyc", ".so", ".pyd") or path.name == "native_missing.txt":
                continue
            if path.is_file():
                file.write(path, Path("handgrad") / path.relative_to(PACKAGE))
        file.writestr("handgrad/engines/native_missing.txt", REASON + "\n")
    with zipfile.ZipFile(archive) as file:
        file.extractall(folder)
    return folder


def run(folder, arguments, tmp_path):
    """Return what Python printed with the package of `folder`."""
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run([sys.executable, *arguments], env=environment, cwd=tmp_path,
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


NOTEBOOK = (
    "import IPython; from types import SimpleNamespace as S; "
    "IPython.get_ipython = lambda: S(kernel=1); import handgrad; from handgrad import *"
)
TRAIN = ["-m", "handgrad", "train", "--set", "training.epochs=1"]


@pytest.mark.thorough
@pytest.mark.parametrize(
    "arguments",
    [["-m", "handgrad", "doctor"], TRAIN, ["-c", NOTEBOOK]],
    ids=["doctor", "train", "import"],
)
def test_it_says_once_in_one_line_why_the_engine_is_missing(pure, arguments, tmp_path):
    lines = run(pure, arguments, tmp_path).splitlines()
    said = [line for line in lines if "native engine" in line]
    assert len(said) == 1, lines
    assert (
        f"The native engine is missing, so layers run on NumPy, several times slower ({REASON})"
        in said[0]
    )
    assert said[0].endswith("pip install --force-reinstall --no-deps .")


def test_a_script_is_not_told(pure, tmp_path):
    assert run(pure, ["-c", "import handgrad"], tmp_path) == ""


def test_the_engine_that_is_missing_says_why(pure, tmp_path):
    code = (
        "from handgrad import engines\n"
        "try: engines.get('native')\n"
        "except engines.EngineError as error: print(error)"
    )
    assert REASON in run(pure, ["-c", code], tmp_path)


def test_a_library_of_another_system_is_a_reason(pure, tmp_path):
    suffix = importlib.machinery.EXTENSION_SUFFIXES[0]
    module = pure / "handgrad/engines/native" / f"_kernels{suffix}"
    module.write_bytes(b"not a library")
    try:
        code = "from handgrad import engines; print(engines.missing_text())"
        said = run(pure, ["-c", code], tmp_path)
    finally:
        module.unlink()
    assert f"{module.name}: " in said or "DLL load failed while importing _kernels: " in said
    assert len(said.splitlines()) == 1


def test_there_is_nothing_to_say_where_it_is_there():
    assert bool(engines.missing_text()) == ("native" not in engines.available())
