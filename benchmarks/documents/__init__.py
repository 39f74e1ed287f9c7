"""The MongoDB path beside its peers: whole units of work of one tenant, on the same collections and indexes."""
