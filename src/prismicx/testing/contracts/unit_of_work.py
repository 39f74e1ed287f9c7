"""The contract of a unit of work: everything that must hold whatever database is behind it."""

from __future__ import annotations

from prismicx.testing.contracts.concurrency import ConcurrencyContract, SavepointContract
from prismicx.testing.contracts.events import EventsContract
from prismicx.testing.contracts.interruption import InterruptionContract
from prismicx.testing.contracts.lifecycle import LifecycleContract
from prismicx.testing.contracts.read_scope import ReadScopeContract
from prismicx.testing.contracts.registry import RegistryContract
from prismicx.testing.contracts.running import RunContract
from prismicx.testing.contracts.tracking import TrackingContract


class UnitOfWorkContract(
    LifecycleContract,
    ReadScopeContract,
    InterruptionContract,
    TrackingContract,
    ConcurrencyContract,
    SavepointContract,
    EventsContract,
    RegistryContract,
    RunContract,
):
    """What every backend's units of work promise.

    A backend joins with one fixture, `backend`: started, wired with `EXAMPLE_MAPPINGS`, `admission=AdmissionByName()`
    and `on_commit=deliver` of `prismicx.testing.examples`. `has_savepoints` and `isolations` say what it can.
    """
