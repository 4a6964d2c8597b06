"""The policy of every HTML page of Handgrad: the browser runs no script and sends no request."""

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""The content security policy: nothing is loaded but pictures inside the page itself."""
