"""The identity map and the change set, where the contracts do not reach."""

from __future__ import annotations

import pytest

from prismicx.adapters.change_set import FIRST_VERSION, Removal, Update
from prismicx.adapters.tracking import Tracker
from prismicx.domain.entity import stamp
from prismicx.domain.errors import DuplicateEntityError, EntityNotFoundError
from prismicx.domain.identifiers import TenantId
from prismicx.testing.examples import Mailbox, Widget

ACME = TenantId("acme")


def read(tracker: Tracker, widget: Widget, *, version: int = 3) -> Widget:
    """Track a widget as if it had been read."""
    tracker.remember(stamp(widget, version=version, tenant=ACME), changeable=True)
    return widget


def test_a_fresh_tracker_has_nothing_to_write() -> None:
    assert not Tracker().changes()


def test_changes_name_the_versions_and_the_attributes() -> None:
    tracker, added = Tracker(), Widget()
    changed, removed, same = read(tracker, Widget()), read(tracker, Widget()), read(tracker, Widget())
    tracker.add((added,))
    tracker.remove(removed)
    changed.name, changed.amount = "new", 1

    changes = tracker.changes()

    assert changes
    assert changes.inserts == {Widget: [added]}
    assert changes.updates == {Widget: [Update(changed, 3, ("name", "amount"))]}
    assert changes.removals == {Widget: [Removal(removed, 3)]}
    assert tracker.find(Widget, same.id) is same


def test_what_was_written_is_not_written_again() -> None:
    tracker, added = Tracker(), Widget()
    changed, removed = read(tracker, Widget()), read(tracker, Widget())
    tracker.add((added,))
    tracker.remove(removed)
    changed.name = "new"

    tracker.written(tracker.changes())

    assert not tracker.changes()
    assert (added.version, changed.version, removed.version) == (FIRST_VERSION, 4, 3)
    assert tracker.is_removed(Widget, removed.id)


def test_what_is_remembered_as_unchangeable_is_found_and_never_written() -> None:
    tracker, widget = Tracker(), Widget()
    tracker.remember(widget, changeable=False)
    widget.name = "changed"

    assert tracker.find(Widget, widget.id) is widget
    assert not tracker.changes()


def test_another_object_of_a_removed_identity_waits_for_the_flush() -> None:
    tracker = Tracker()
    widget = read(tracker, Widget())
    tracker.remove(widget)
    successor = Widget(id=widget.id)

    with pytest.raises(DuplicateEntityError):
        tracker.add((successor,))
    tracker.written(tracker.changes())
    tracker.add((successor,))

    assert tracker.find(Widget, widget.id) is successor


def test_nothing_of_many_is_added_where_one_cannot_be() -> None:
    tracker, widget, fresh = Tracker(), Widget(), Widget()
    tracker.add((widget,))

    with pytest.raises(DuplicateEntityError):
        tracker.add((fresh, Widget(id=widget.id)))

    assert tracker.find(Widget, fresh.id) is None


def test_a_stranger_cannot_be_removed() -> None:
    tracker = Tracker()
    widget = read(tracker, Widget())

    with pytest.raises(EntityNotFoundError):
        tracker.remove(widget.model_copy())
    with pytest.raises(EntityNotFoundError):
        tracker.remove(Widget())


def test_a_memento_brings_back_attributes_versions_states_and_events() -> None:
    tracker, mailbox = Tracker(), Mailbox()
    kept, removed = read(tracker, Widget(labels={"a": "1"})), read(tracker, Widget())
    kept.announce("before", mailbox)
    kept.name = "changed before"
    memento = tracker.memento()

    kept.labels["a"] = "2"
    kept.announce("after", mailbox)
    tracker.remove(removed)
    tracker.add((later := Widget(),))
    tracker.written(tracker.changes())
    tracker.restore(memento)

    assert (kept.labels, kept.name, kept.version) == ({"a": "1"}, "changed before", 3)
    assert tracker.find(Widget, removed.id) is removed
    assert tracker.find(Widget, later.id) is None
    assert tracker.changes().updates == {Widget: [Update(kept, 3, ("name",))]}
    assert [getattr(event, "subject", None) for event in tracker.take_events()] == ["before"]


def test_a_forgetful_tracker_knows_nobody() -> None:
    tracker = Tracker()
    widget = read(tracker, Widget())

    tracker.forget()

    assert tracker.find(Widget, widget.id) is None
    assert not tracker.is_removed(Widget, widget.id)
