"""The snapshot jobs: what a worker does, and how it finds out what came of an interrupted one."""
