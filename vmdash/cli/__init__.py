"""The command line: a small client of the API. It stands alone: it needs Python and httpx, and no settings."""
