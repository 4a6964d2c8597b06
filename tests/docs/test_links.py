"""The checker of links sees a page that is not there, and a place that is not on its page."""

import importlib.util
from pathlib import Path

spec = importlib.util.spec_from_file_location("links", Path(__file__).parent / "links.py")
links = importlib.util.module_from_spec(spec)
spec.loader.exec_module(links)


def test_broken_links_are_found(tmp_path):
    (tmp_path / "one.html").write_text(
        '<h1 id="top">1</h1><a href="two.html#middle">2</a><a href="#top">^</a>'
    )
    (tmp_path / "two.html").write_text(
        '<h1 id="middle">2</h1><a href="https://example.org/gone">3</a>'
    )
    assert links.broken(tmp_path) == ([], 2)
    (tmp_path / "two.html").write_text('<a href="one.html">1</a><img src="gone.png">')
    assert links.broken(tmp_path) == (["one.html: two.html#middle", "two.html: gone.png"], 4)
