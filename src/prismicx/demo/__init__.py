"""The reference service: complete, small, run by `prismicx demo`, and the place to read first.

`domain` has its aggregates and repositories, `mappings` says where they live, `service` has the use cases, `relational`
and `documents` what one database says in its own language, `plugins` the CRM plugin, and `story` tells it all.
"""
