"""Use cases over the ports of the domain: tenants, plugins, who may work, and working again after a conflict."""
