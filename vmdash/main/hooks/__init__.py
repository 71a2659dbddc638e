"""The pages of webhooks. What they do is in `vmdash.webhooks`; here they know of sites, hosts, tags and guests."""
