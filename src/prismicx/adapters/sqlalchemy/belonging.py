"""The objects of a session are its tenant's: new ones are stamped, others refused before anything is sent."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from sqlalchemy.orm import Mapper, class_mapper
from sqlalchemy.orm.attributes import get_history, instance_dict

from prismicx.adapters.sqlalchemy.scope import SESSION, tenant_column
from prismicx.domain.errors import CrossTenantError, UnsupportedOperationError


def before_attach(session: Any, instance: Any) -> None:
    """Let the session take objects of its tenant only.

    Raises:
        CrossTenantError: it is another tenant's.
    """
    values = instance_dict(instance)
    for attribute in _attributes(instance.__class__):
        if values.get(attribute) is not None:
            _require_own(instance, values[attribute], session.loan.tenant)


def before_flush(session: Any, context: Any, instances: Any) -> None:
    """Stamp what is new with the session's tenant, and look at whatever is about to be written.

    Raises:
        CrossTenantError: it is another tenant's.
        UnsupportedOperationError: its tenant has been changed.
    """
    tenant = session.loan.tenant
    for instance in session.new:
        for attribute in _attributes(instance.__class__):
            if getattr(instance, attribute) is None:
                setattr(instance, attribute, tenant)
            _require_own(instance, getattr(instance, attribute), tenant)
    for instance in (*session.dirty, *session.deleted):
        for attribute in _attributes(instance.__class__):
            history = get_history(instance, attribute)
            if history.deleted and history.added:
                raise UnsupportedOperationError(f"an update of {attribute}", SESSION)
            _require_own(instance, getattr(instance, attribute), tenant)


def _require_own(instance: Any, named: Any, tenant: str) -> None:
    if named != tenant:
        raise CrossTenantError(unit=tenant, other=str(named)[:80], subject=type(instance).__name__)


@lru_cache(maxsize=1024)
def _attributes(kind: Any) -> tuple[str, ...]:
    """Return the attributes that hold the tenant, one for each table that has it."""
    mapper: Mapper[Any] = class_mapper(kind)
    columns = (tenant_column(table) for table in mapper.tables)
    found = (mapper.get_property_by_column(column) for column in columns if column is not None)
    return tuple(dict.fromkeys(property_.key for property_ in found))
