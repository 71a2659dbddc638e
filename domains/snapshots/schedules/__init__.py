"""Snapshots that are taken by themselves: when (`times`), which of them stay (`retention`), and the scheduler's part in
it (`ticking`)."""
