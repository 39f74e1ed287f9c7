"""Proof that no tenant can tell of another: a state machine over a team's own repositories, with an oracle per tenant.

`await assert_isolated(backend, [CustomerRepository])` is the whole test.
"""

from prismicx.testing.isolation.findings import IsolationBrokenError, NothingProvenError
from prismicx.testing.isolation.machine import TenantIsolationMachine
from prismicx.testing.isolation.proof import EXAMPLES, STEPS, assert_isolated
from prismicx.testing.isolation.world import Witness, World

__all__ = [
    "EXAMPLES",
    "STEPS",
    "IsolationBrokenError",
    "NothingProvenError",
    "TenantIsolationMachine",
    "Witness",
    "World",
    "assert_isolated",
]
