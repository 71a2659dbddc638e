"""Draining a host for maintenance, and returning its guests: the plan, the record, the jobs."""
