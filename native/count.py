"""``make neon-counts``: instructions per multiply-add of the ARM kernels, by the compiler's output.

    python native/count.py [kernel files]

Each kernel file is compiled for ARM with the flags of the build; of each function the innermost loop with
the most multiply-adds is counted.  For each vector multiply-add (4 float32 or 2 float64): all instructions,
and loads; and the loads and stores of vectors on the stack, which tell that the registers do not suffice.

What the tiles assume: a core with 32 registers, four pipes of four cycles (Apple M1 and later, Neoverse V1,
V2), so that 16 sums must grow at a time, or two pipes and four instructions a cycle (Neoverse N1); 64 KiB or
more of first-level cache, where a panel of A (12 rows x 128, 6 KiB) and one of B (128 x 8, 4 KiB) stay; 1 MiB
or more of second-level cache for what a task packs (some 110 KiB).  Nothing was timed on ARM.
"""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass

from cross import BUILD, FLAGS, NATIVE, compiler, first_error

TARGET = "aarch64-linux-gnu"
KERNELS = ("gemm", "thin", "winograd", "grouped", "stem")
LABEL = re.compile(r"^(\.?\w+):")
BRANCH = re.compile(r"^\t(?:b\.\w+|b|cbn?z|tbn?z)\s+(?:.*,\s*)?(\.\w+)$")


@dataclass(frozen=True)
class Loop:
    """One innermost loop, by what it has of each kind of instruction."""

    function: str
    instructions: int
    multiply_adds: int
    loads: int
    spills: int

    def row(self) -> str:
        """Return it as a row of the table."""
        share = [count / self.multiply_adds for count in (self.instructions, self.loads)]
        return f"| {self.function} | {self.multiply_adds} | {share[0]:.2f} | {share[1]:.2f} | {self.spills} |"


def assembly(kernel: str) -> str:
    """Return the compiler's output for one kernel file."""
    to = BUILD / TARGET / f"{kernel}.s"
    to.parent.mkdir(parents=True, exist_ok=True)
    command = [
        *compiler(),
        "-target",
        TARGET,
        "-S",
        *FLAGS,
        "-Wno-error",
        "-O3",
        "-DHANDGRAD_ISA=portable",
    ]
    command += [f"-I{NATIVE}", str(NATIVE / "kernels" / f"{kernel}.cpp"), "-o", str(to)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{kernel}: {first_error(done.stderr)}")
    return to.read_text()


def loops(text: str) -> list[Loop]:
    """Return of each function the innermost loop with the most multiply-adds.

    A loop is what lies between a label and the first branch back to it, with no label of
    another loop inside.
    """
    found: dict[str, Loop] = {}
    function, body, start = "", [], {}
    for line in text.splitlines():
        label = LABEL.match(line)
        if label and not label[1].startswith("."):
            function, body, start = label[1], [], {}
        elif label:
            start[label[1]] = len(body)
        elif re.match(r"\t[a-z]", line):
            body.append(line)
            branch = BRANCH.match(line.partition("//")[0].rstrip())
            if branch and branch[1] in start:
                loop = _loop(function, body[start[branch[1]] :])
                start = {name: at for name, at in start.items() if at > len(body)}
                if loop.multiply_adds > getattr(found.get(function), "multiply_adds", 0):
                    found[function] = loop
    return list(found.values())


def _loop(function: str, body: list[str]) -> Loop:
    def count(pattern: str) -> int:
        return sum(bool(re.match(pattern, line)) for line in body)

    spills = count(r"\t(str|stp|ldr|ldp|stur|ldur)\s+q\d+.*\[sp")
    return Loop(function, len(body), count(r"\tfml[as]\s"), count(r"\tld"), spills)


def names_of(functions: list[str]) -> dict[str, str]:
    """Return the functions' names as they are written, without namespaces and arguments."""
    text = "\n".join(functions)
    done = subprocess.run(
        ["c++filt"], input=text, capture_output=True, text=True, check=True
    ).stdout
    done = re.sub(r"\(anonymous namespace\)::|handgrad::|portable::|^void ", "", done, flags=re.M)
    done = done.replace("(ALayout)0", "rows").replace("(ALayout)1", "columns")
    return dict(zip(functions, (one.partition("(")[0] for one in done.splitlines()), strict=True))


def main(kernels: list[str]) -> int:
    """Print the table; return 1 where a kernel has no loop of multiply-adds."""
    print(
        "| kernel | vector multiply-adds a turn | instructions each | loads each | spills a turn |"
    )
    print("|---|---|---|---|---|")
    missing = []
    for kernel in kernels or KERNELS:
        found = sorted(loops(assembly(kernel)), key=lambda loop: -loop.multiply_adds)
        found = [loop for loop in found if loop.multiply_adds >= 4]
        names = names_of([loop.function for loop in found])
        for loop in found:
            row = Loop(f"{kernel}: {names[loop.function]}", *list(vars(loop).values())[1:])
            print(row.row())
        missing += [] if found else [kernel]
    for kernel in missing:
        print(f"{kernel}: no loop of multiply-adds was found")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
