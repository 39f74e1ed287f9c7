"""The memory backend: for unit tests. It refuses what the databases refuse, and evaluates nothing by guesswork."""

from prismicx.adapters.memory.backend import MemoryBackend
from prismicx.adapters.memory.provisioning import MemoryPluginSchemas
from prismicx.adapters.memory.repository import MemoryRepository
from prismicx.adapters.memory.unit_of_work import MemoryUnitOfWork

__all__ = ["MemoryBackend", "MemoryPluginSchemas", "MemoryRepository", "MemoryUnitOfWork"]
