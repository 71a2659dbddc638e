"""The practice fleet: real libvirtds with real guests on this machine's loopback addresses.

`manage.py lab up|down|status|inventory` on the command line. For tests and benchmarks: `Lab` (where a fleet lives),
`fleet` (up, down, status), `inventory` (how to add its hosts), `faults` (hang, kill, black holes) and `fillers` (many
cheap guests). docs/practice-fleet.md describes how it is made.
"""
