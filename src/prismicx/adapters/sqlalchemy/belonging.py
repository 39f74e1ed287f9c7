"""The objects of a session are its tenant's: new ones are stamped, others refused before anything is sent."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from sqlalchemy import event, inspect
from sqlalchemy.orm import Mapper, Session

from prismicx.adapters.sqlalchemy.scope import SESSION, tenant_column
from prismicx.domain.errors import CrossTenantError, UnsupportedOperationError


def keep_to(session: Session, tenant: str) -> None:
    """Let the session hold objects of this tenant only.

    Adding or merging another tenant's raises `CrossTenantError`, changing an object's tenant
    `UnsupportedOperationError`, at the latest when the session writes.
    """

    def attached(session: Session, instance: Any) -> None:
        state = inspect(instance)
        for attribute in _attributes(state.mapper):
            if state.dict.get(attribute) is not None:
                _require_own(instance, state.dict[attribute], tenant)

    def written(session: Session, context: Any, instances: Any) -> None:
        for instance in session.new:
            for attribute in _attributes(inspect(instance).mapper):
                if getattr(instance, attribute) is None:
                    setattr(instance, attribute, tenant)
        for instance in (*session.new, *session.dirty, *session.deleted):
            for attribute in _attributes(inspect(instance).mapper):
                history = inspect(instance).attrs[attribute].history
                if history.deleted and history.added:
                    raise UnsupportedOperationError(f"an update of {attribute}", SESSION)
                _require_own(instance, getattr(instance, attribute), tenant)

    event.listen(session, "before_attach", attached)
    event.listen(session, "before_flush", written)


def _require_own(instance: Any, named: Any, tenant: str) -> None:
    if named != tenant:
        raise CrossTenantError(unit=tenant, other=str(named)[:80], subject=type(instance).__name__)


@lru_cache(maxsize=1024)
def _attributes(mapper: Mapper[Any]) -> tuple[str, ...]:
    """Return the attributes that hold the tenant, one for each table that has it."""
    columns = (tenant_column(table) for table in mapper.tables)
    found = (mapper.get_property_by_column(column) for column in columns if column is not None)
    return tuple(dict.fromkeys(property_.key for property_ in found))
