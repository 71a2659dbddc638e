"""A host whose cells are out of balance: several of its guests are placed by one job, and that can be undone."""
