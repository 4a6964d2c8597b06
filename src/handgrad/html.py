"""What every HTML page of Handgrad says to the browser: run nothing, ask nobody."""

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""The content security policy: nothing is loaded but pictures inside the page itself."""
