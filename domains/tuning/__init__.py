"""Tuning: what a guest is given while it runs, vCPUs, memory, a share of the CPUs, and limits of its disks."""
