"""The product beside its peers: whole units of work of one tenant, on the same tables, under the same role."""
