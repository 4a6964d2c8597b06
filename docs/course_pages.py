"""The chapters of the course book as pages: what is handed out, and the exercises as a student gets them.

`pages` is called by api_pages.py; `handgrad course new` writes the same files into a folder.
"""

from __future__ import annotations

import ast

from handgrad.courses.kit import FILES, exercise

EXERCISES = {  # chapter -> the files and functions that it asks for
    "1": {
        "dense.py": ("affine_forward", "affine_backward", "relu_forward", "relu_backward", "softmax_loss"),
        "network.py": ("TwoLayerNet",),
    },
    "2": {"rules.py": ("sgd_momentum", "rmsprop", "adam")},
    "3": {
        "norms.py": (
            "batchnorm_forward",
            "batchnorm_backward",
            "batchnorm_backward_alt",
            "layernorm_forward",
            "layernorm_backward",
        )
    },
    "4": {"norms.py": ("dropout_forward", "dropout_backward")},
    "5": {
        "images.py": (
            "conv_forward_naive",
            "conv_backward_naive",
            "max_pool_forward_naive",
            "max_pool_backward_naive",
        )
    },
    "6": {"images.py": ("spatial_batchnorm_forward", "spatial_batchnorm_backward")},
}  # fmt: skip


def pages() -> dict[str, str]:
    """Return the text of each page, by its file's name."""
    chapters = sorted((FILES / "chapters").glob("*.md"))
    return {
        chapter.name: chapter.read_text("utf-8") + exercises(chapter.name[0])
        for chapter in chapters
    }


def exercises(number: str) -> str:
    """Show the functions that a chapter asks for, as they are handed out."""
    parts = []
    for file, names in EXERCISES.get(number, {}).items():
        text = exercise((FILES / file).read_text("utf-8"), file)
        lines = text.splitlines()
        found = {
            node.name: "\n".join(lines[node.lineno - 1 : node.end_lineno])
            for node in ast.parse(text).body
            if isinstance(node, ast.FunctionDef | ast.ClassDef)
        }
        shown = "\n\n\n".join(found[name] for name in names)
        parts.append(f"\n`{file}` as it is handed out:\n\n```{{code-block}} python\n{shown}\n```\n")
    return "".join(["\n## The exercises\n", *parts]) if parts else ""
