"""What the same unit costs with more tenants and more rows, and what a service costs before its first unit."""
