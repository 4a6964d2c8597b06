"""The oldest compilers that README names take every file of the kernels; the others are the build's own."""

import platform
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(ROOT.glob("native/*/*.cpp"))
AVX512 = ["-mavx2", "-mfma", "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx512bf16"]


@pytest.mark.long
@pytest.mark.skipif(platform.machine() != "x86_64", reason="flags of x86-64")
@pytest.mark.parametrize("isa", ["portable", "avx2", "avx512"])
@pytest.mark.parametrize("compiler", ["g++-11", "clang++-14"])
def test_the_oldest_compilers_take_the_kernels(compiler, isa):
    if not shutil.which(compiler):
        pytest.skip(f"no {compiler}")
    flags = {"portable": [], "avx2": AVX512[:2], "avx512": AVX512}[isa]
    for file in FILES:
        folder = file.parent.name
        if folder == "bindings" or (folder != "kernels" and isa != "portable"):
            continue
        if file.name == "bf16_dot.cpp" and isa != "avx512":
            continue
        command = [compiler, "-std=gnu++17", "-fsyntax-only", *flags, "-DHANDGRAD_X86"]
        done = subprocess.run(
            [*command, f"-DHANDGRAD_ISA={isa}", "-Inative", str(file)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{file.name}: {done.stderr[:2000]}"
