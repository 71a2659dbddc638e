"""Steal: who takes a guest's CPU time, and where it would be better off."""
