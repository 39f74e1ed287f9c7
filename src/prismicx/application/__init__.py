"""Use cases over the ports of the domain: tenants, plugins, and who may work."""
