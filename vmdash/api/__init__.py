"""The API for scripts, under `/api/v1/`: what the pages can do, through the same services.

Operations and the shapes that they take and give are annotated at run time, so their modules do without
`from __future__ import annotations`.
"""
