"""The software bill of materials of a wheel, as CycloneDX 1.5 in JSON.

    python release/sbom.py WHEEL [WHEEL ...]

Beside each wheel: NAME.cdx.json, with its digest, what it requires to run, and, where it holds a compiled
module, what was compiled into it.  The same wheel gives the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import zipfile
from email.parser import Parser
from pathlib import Path
from typing import Any

COMPILED = {"nanobind": "BSD-3-Clause", "robin-map": "MIT"}  # code of theirs is in the module


def component(name: str, kind: str = "library", **more: Any) -> dict[str, Any]:
    """Return one part of the bill."""
    return {"type": kind, "name": name, "bom-ref": name, **more}


def bill(wheel: Path) -> dict[str, Any]:
    """Return the bill of one wheel."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        fields = Parser().parsestr(archive.read(metadata).decode("utf-8"))
    version = fields["Version"]
    required = [field for field in fields.get_all("Requires-Dist") or [] if "extra ==" not in field]
    parts = [
        component(
            re.match(r"[\w.-]+", field)[0],
            scope="required",
            properties=[{"name": "requires", "value": field}],
        )
        for field in required
    ]
    if any("_kernels" in name and not name.endswith(".pyi") for name in names):
        parts += [
            component(name, licenses=[{"license": {"id": licence}}], scope="required",
                      properties=[{"name": "how", "value": "compiled into the module"}])
            for name, licence in COMPILED.items()
        ]  # fmt: skip
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    whole = component(
        fields["Name"],
        version=version,
        licenses=[{"license": {"id": fields["License-Expression"]}}],
        purl=f"pkg:pypi/{fields['Name']}@{version}?file_name={wheel.name}",
        hashes=[{"alg": "SHA-256", "content": digest}],
    )
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": whole},
        "components": sorted(parts, key=lambda part: part["name"]),
        "dependencies": [
            {"ref": fields["Name"], "dependsOn": sorted(part["name"] for part in parts)}
        ],
    }


def write(wheel: Path) -> Path:
    """Write the bill beside the wheel and return its path."""
    path = wheel.with_name(f"{wheel.name.removesuffix('.whl')}.cdx.json")
    path.write_text(json.dumps(bill(wheel), indent=1) + "\n", encoding="utf-8")
    return path


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print(write(Path(name)))
