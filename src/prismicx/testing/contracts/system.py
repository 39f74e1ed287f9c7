"""Work over all tenants: what a backend that offers it promises."""

from prismicx.testing.contracts.system_door import SystemDoorContract
from prismicx.testing.contracts.system_reading import SystemReadingContract
from prismicx.testing.contracts.system_writing import SystemWritingContract


class SystemScopeContract(SystemReadingContract, SystemWritingContract, SystemDoorContract):
    """The door that leads to all tenants. The backend has a login of its own for it, where it has logins at all."""
