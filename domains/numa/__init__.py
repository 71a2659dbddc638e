"""NUMA: where vCPUs run and where their memory comes from, what is wrong about it, and putting that right."""
