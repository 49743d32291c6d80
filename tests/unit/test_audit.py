"""The chain of the audit: every change of a row, and every missing one, is found where it is."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from daemon.domain.audit_chain import FIRST_HASH, Actor, AuditRow, Head, digest_of, hash_of, verify

MARIA = Actor(name="user maria", address="203.0.113.7")


def chain(count: int) -> tuple[list[AuditRow], Head]:
    """A chain as the store writes it."""
    rows: list[AuditRow] = []
    last = FIRST_HASH
    for number in range(1, count + 1):
        digest = digest_of(f"salt-{number}", f"chat-{number}", "", "paused")
        name = hash_of(last, number, 100.5 + number, MARIA, "pause", digest)
        rows.append(
            AuditRow(
                id=number,
                at=100.5 + number,
                actor=MARIA,
                action="pause",
                digest=digest,
                hash=name,
                salt=f"salt-{number}",
                subject=f"chat-{number}",
                after="paused",
            )
        )
        last = name
    return rows, Head(id=count, hash=last)


def rehashed(rows: list[AuditRow], place: int) -> list[AuditRow]:
    """The chain from a row on, hashed anew, as somebody does who knows how."""
    last = rows[place - 1].hash if place else FIRST_HASH
    for at, row in enumerate(rows[place:], place):
        last = hash_of(last, row.id, row.at, row.actor, row.action, row.digest)
        rows[at] = replace(row, hash=last)
    return rows


@pytest.mark.parametrize("count", [0, 1, 5])
def test_a_chain_as_it_was_written_is_sound(count: int) -> None:
    rows, head = chain(count)
    verified = verify(rows, head)
    assert (verified.rows, verified.broken, verified.fault) == (count, 0, "")


def erase(row: AuditRow) -> AuditRow:
    return replace(row, salt=None, subject="", before="", after="")


def test_erased_subjects_leave_the_chain_sound() -> None:
    rows, head = chain(4)
    rows[1], rows[3] = erase(rows[1]), erase(rows[3])
    verified = verify(rows, head)
    assert (verified.fault, verified.erased) == ("", 2)


CHANGES: dict[str, Callable[[AuditRow], AuditRow]] = {
    "at": lambda row: replace(row, at=row.at + 1),
    "actor": lambda row: replace(row, actor=replace(row.actor, name="user pedro")),
    "address": lambda row: replace(row, actor=replace(row.actor, address="")),
    "action": lambda row: replace(row, action="resume"),
    "subject": lambda row: replace(row, subject="chat-9"),
    "before": lambda row: replace(row, before="x"),
    "after": lambda row: replace(row, after=""),
    "salt": lambda row: replace(row, salt="other"),
    "digest": lambda row: replace(erase(row), digest="0" * 64),
    "hash": lambda row: replace(row, hash="0" * 64),
}


@pytest.mark.parametrize("name", sorted(CHANGES))
@pytest.mark.parametrize("place", [0, 2, 4])
def test_a_changed_row_is_the_first_broken_one(name: str, place: int) -> None:
    rows, head = chain(5)
    rows[place] = CHANGES[name](rows[place])
    verified = verify(rows, head)
    assert verified.broken == place + 1
    assert verified.rows == place


@pytest.mark.parametrize("place", [0, 2, 3])
def test_a_missing_row_is_named(place: int) -> None:
    rows, head = chain(5)
    del rows[place]
    assert verify(rows, head).broken == place + 1


def test_a_missing_row_is_found_in_a_chain_that_was_hashed_anew() -> None:
    rows, _ = chain(5)
    del rows[2]
    rows = rehashed(rows, 2)
    assert verify(rows, Head(id=5, hash=rows[-1].hash)).broken == 3


@pytest.mark.parametrize("left", [0, 1, 4])
def test_a_chain_without_its_end_is_found(left: int) -> None:
    rows, head = chain(5)
    assert verify(rows[:left], head).broken == left + 1


def test_a_row_that_was_changed_and_hashed_anew_breaks_at_the_next() -> None:
    rows, head = chain(5)
    rows[1] = replace(rows[1], actor=Actor(name="nobody"))
    rows[1] = replace(
        rows[1], hash=hash_of(rows[0].hash, 2, rows[1].at, rows[1].actor, "pause", rows[1].digest)
    )
    assert verify(rows, head).broken == 3


def test_only_a_head_kept_elsewhere_shows_a_chain_made_anew_or_cut_with_its_head() -> None:
    rows, head = chain(5)
    rows[1] = replace(rows[1], actor=Actor(name="nobody"))
    rows = rehashed(rows, 1)
    forged = Head(id=5, hash=rows[-1].hash)
    assert verify(rows, forged).fault == ""
    assert verify(rows, forged, known=head).broken == 5
    cut, _ = chain(3)
    assert verify(cut, Head(id=3, hash=cut[-1].hash), known=head).broken == 5
    longer, end = chain(8)
    assert verify(longer, end, known=head).fault == ""


def test_the_digest_of_the_same_subject_differs_by_its_salt() -> None:
    assert digest_of("a", "573001234567", "", "") != digest_of("b", "573001234567", "", "")
    # No value can pass for another by where it ends.
    assert digest_of("a", "xy", "z", "") != digest_of("a", "x", "yz", "")
