"""What the HTML pages of Handgrad share: their policy (no script, no request), and sentences as HTML."""

import re
from html import escape

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""The content security policy: nothing is loaded but pictures inside the page itself."""


def marked(text: str) -> str:
    """Return a sentence as HTML, escaped, with what stands between backticks as code.

    >>> marked("`dx` < 0")
    '<code>dx</code> &lt; 0'
    """
    return re.sub(r"`([^`\n]+)`", r"<code>\1</code>", escape(text))
