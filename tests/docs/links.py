"""Do the links of the built pages lead somewhere?  `python tests/docs/links.py build/docs` says which do not.

Every href and src of every page is looked at: a file must be there, and so must the place behind a `#`.
Addresses of the network are counted, not asked for.
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """A page's links, and the names that a link to it may end with."""

    def __init__(self, path: Path) -> None:
        """Read the page at `path`."""
        super().__init__()
        self.links: set[str] = set()
        self.places: set[str] = {""}
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what an element leads to, and what it is called."""
        for name, value in attrs:
            if name in ("href", "src") and value and tag != "base":
                self.links.add(value)
            if name in ("id", "name") and value:
                self.places.add(value)


def broken(folder: Path) -> tuple[list[str], int]:
    """Return the broken links of the pages in `folder`, and how many links were followed."""
    pages = {path.resolve(): Page(path) for path in sorted(folder.rglob("*.html"))}
    found, followed = [], 0
    for path, page in pages.items():
        for link in sorted(page.links):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            followed += 1
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            there = target in pages and unquote(parts.fragment) in pages[target].places
            if not there and (target in pages or not target.is_file()):
                found.append(f"{path.relative_to(folder.resolve())}: {link}")
    return found, followed


if __name__ == "__main__":
    faults, followed = broken(Path(sys.argv[1]))
    print(*faults, f"{followed:,} links, {len(faults)} lead nowhere", sep="\n")
    sys.exit(bool(faults))
