"""How an exported NumPy file takes raw rows: its function `prepared`, and what it does as a program."""

from __future__ import annotations

from handgrad.interop.network import Images, Network

COLUMNS = ("source", "level", "gap", "fill")
"""What `of_columns` takes of a table's columns."""


def prepared_lines(images: Images, shapes: str) -> list[str]:
    """Return the function that makes what the network sees of raw rows."""
    x = "images" if images.raw == "pixels" else images.raw
    lines = ["", f"def prepared({x}):"]
    if images.columns is None:
        said = f"{images.said[:1].upper()}{images.said[1:]}"
        lines.append(f'    """{said} {shapes} -> what the network sees"""')
    else:
        said = "A dictionary of columns, or numbers as of `encoded` -> what the network sees"
        arrays = ", ".join(f'p["columns.{role}"]' for role in COLUMNS)
        lines += [
            f'    """{said}"""',
            "    if isinstance(columns, dict):",
            "        columns = encoded(columns, FIELDS)",
            f"    x = of_columns(columns, {arrays})",
        ]
        x = "x"
    raw = images.raw
    return [*lines, f'    return (({x} - p["{raw}.mean"]) / p["{raw}.std"]).astype(DTYPE)', ""]


def program_lines(network: Network, is_prepared: bool, *, bare: bool) -> list[str]:
    """Return what the file does as a program; nothing for a network of several inputs."""
    (first, *others), images = network.inputs, network.images
    if others:
        return []
    is_table = is_prepared and images.columns is not None
    shape = str(("N", *network.inputs[first])).replace("'", "")
    given = f"X.npy, {images.raw if is_prepared else 'rows'} {shape}"
    lines = [
        "",
        'if __name__ == "__main__":',
        f"    # python <this file> {'table.csv' if is_table else given}",
    ]
    if is_table:
        lines += [
            '    with open(sys.argv[1], encoding="utf-8-sig", newline="") as file:',
            "        rows = list(csv.DictReader(file))",
            "    X = {name: [row[name] for row in rows] for name, *_ in FIELDS}",
        ]
    else:
        lines.append("    X = np.load(sys.argv[1], allow_pickle=False)")
    call = "scores(prepared(X))" if is_prepared else "scores(X.astype(DTYPE))"
    names = images.class_names and not bare
    task = images.info.get("task", "classification")
    if task == "classification":
        shown = "CLASSES[k]" if names else "k"
        return [*lines, f"    for k in {call}.argmax(axis=1):", f"        print({shown})", ""]
    shown = "*row"
    if task == "multilabel":
        shown = "*(CLASSES[k] for k in np.flatnonzero(row > 0))" if names else "*(row > 0)"
    return [*lines, f"    for row in {call}:", f"        print({shown})", ""]
