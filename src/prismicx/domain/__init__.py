"""What prismicx speaks about: entities, specifications, tenants, plugins, and the ports. No I/O, no drivers."""
