"""Moving guests between hosts: what to check first, the job that does it, and what to do when it stalls."""
