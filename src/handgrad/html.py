"""The policy of every HTML page of Handgrad: the browser runs no script and sends no request."""

import re
from html import escape

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""The content security policy: nothing is loaded but pictures inside the page itself."""


def prose(text: str) -> str:
    """Return a sentence as HTML: escaped, and what stands between backticks as code.

    >>> prose("`x < 0` is always false")
    '<code>x &lt; 0</code> is always false'
    """
    return re.sub(r"`([^`\n]+)`", r"<code>\1</code>", escape(text))
