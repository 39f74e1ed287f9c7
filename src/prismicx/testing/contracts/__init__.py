"""The contracts: each promise written once as a test; a backend joins by giving one fixture.

Subclass the contracts in a test module that has the fixture `backend` (see `UnitOfWorkContract`), or `step`:

    @pytest.fixture(scope="module")
    async def backend() -> AsyncIterator[Backend]: ...

    class TestOurBackend(UnitOfWorkContract, RepositoryContract, TenancyContract, SpecificationContract):
        ...

The tests are asynchronous and all run on one event loop: `asyncio_mode = "auto"`, loop scope `session`.
"""

from prismicx.testing.contracts.handling import HandlingContract
from prismicx.testing.contracts.outbox import OutboxContract
from prismicx.testing.contracts.owned_place import Laboratory, OwnedPlaceContract
from prismicx.testing.contracts.provisioning_step import FencedStepContract, ProvisioningStepContract
from prismicx.testing.contracts.registry_feed import RegistryFeedContract
from prismicx.testing.contracts.repository import RepositoryContract
from prismicx.testing.contracts.specification import SpecificationContract
from prismicx.testing.contracts.system import SystemScopeContract
from prismicx.testing.contracts.tenancy import TenancyContract
from prismicx.testing.contracts.twins import assert_contract_catches
from prismicx.testing.contracts.unit_of_work import UnitOfWorkContract

__all__ = [
    "FencedStepContract",
    "HandlingContract",
    "Laboratory",
    "OutboxContract",
    "OwnedPlaceContract",
    "ProvisioningStepContract",
    "RegistryFeedContract",
    "RepositoryContract",
    "SpecificationContract",
    "SystemScopeContract",
    "TenancyContract",
    "UnitOfWorkContract",
    "assert_contract_catches",
]
