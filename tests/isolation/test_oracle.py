"""The oracle itself, where histories that find its mistakes are rare: one in thousands."""

from __future__ import annotations

from prismicx.domain.specification import EVERYTHING
from prismicx.testing.examples import EXAMPLE_MAPPINGS, Widget
from prismicx.testing.isolation.oracle import TenantOracle, key_of
from prismicx.testing.isolation.writing_oracle import WritingOracle


def test_a_unit_keeps_its_own_values_of_a_row_that_has_been_deleted_and_written_anew() -> None:
    tenant = TenantOracle(EXAMPLE_MAPPINGS)
    read, anew = Widget(code="x", name="read"), Widget(code="y", name="anew")
    key = key_of(read)
    first = WritingOracle(tenant, read_only=False)
    first.add([read])
    first.commit()
    reader = WritingOracle(tenant, read_only=False)
    reader.find(key)
    other = WritingOracle(tenant, read_only=False)
    other.delete_where(Widget, EVERYTHING)
    other.upsert(anew.model_copy(update={"id": read.id}), ("code",))
    other.commit()

    reader.update_where(Widget, EVERYTHING, {"note": "n"})

    found = reader.sees(key)
    assert found is not None
    assert (found.values["name"], found.values["note"], found.version) == ("read", "n", 2)
