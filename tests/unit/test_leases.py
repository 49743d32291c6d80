"""A node's lease, its share of the numbers, and when old sends are settled."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.domain.transitions.leases import (
    Moves,
    clock_ahead,
    moves,
    renewal_seconds,
    seconds_left,
    settles_at,
)


@pytest.mark.parametrize(
    ("asked_at", "answered_at", "theirs", "ahead"),
    [
        (100.0, 100.1, 100.0, 0.0),
        (103.0, 103.1, 100.0, 0.0),  # a few seconds do no harm
        (160.0, 160.1, 100.0, 60.0),
        (40.0, 40.5, 100.0, -59.5),
        (100.0, 190.0, 160.0, 0.0),  # the answer took long, and shows nothing
        (90.0, 130.0, 100.0, 0.0),
        (160.0, 300.0, 100.0, 60.0),
    ],
)
def test_clocks_differ_if_no_delay_can_explain_it(
    asked_at: float, answered_at: float, theirs: float, ahead: float
) -> None:
    assert clock_ahead(asked_at, answered_at, theirs) == ahead


@pytest.mark.parametrize(
    ("asked_at", "now", "left"),
    [
        (None, 50.0, 0.0),
        (50.0, 50.0, 15.0),
        (50.0, 64.0, 1.0),
        (50.0, 65.0, 0.0),
        (50.0, 70.0, -5.0),
    ],
)
def test_a_lease_counts_from_before_it_was_asked_for(
    asked_at: float | None, now: float, left: float
) -> None:
    assert seconds_left(asked_at, now, lease_seconds=15.0) == left


def test_it_is_renewed_twice_before_its_end() -> None:
    assert renewal_seconds(15.0) == 5.0


def test_sends_of_a_lost_owner_are_settled_after_their_longest_call() -> None:
    assert settles_at(100.0, was_handed_over=False, call_seconds=15.0) == 115.0
    assert settles_at(100.0, was_handed_over=True, call_seconds=15.0) == 0.0


@pytest.mark.parametrize(
    ("owners", "nodes", "claim", "leave"),
    [
        pytest.param({}, "a", 0, (), id="no numbers"),
        pytest.param({"1": "", "2": "", "3": ""}, "a", 3, (), id="alone"),
        pytest.param({"1": "", "2": "", "3": ""}, "abc", 1, (), id="all free"),
        pytest.param({"1": "a", "2": "a", "3": "a"}, "abc", 0, ("1", "2"), id="two have joined"),
        pytest.param({"1": "a", "2": "a", "3": "b"}, "abc", 0, ("1",), id="one has joined"),
        pytest.param({"1": "a", "2": "b", "3": "dead"}, "ab", 1, (), id="one is dead"),
        pytest.param({"1": "a", "2": "b", "3": ""}, "abc", 0, (), id="another one's share"),
        pytest.param({"1": "a", "2": "a", "3": "b", "4": "b"}, "abc", 0, ("1",), id="only one"),
        pytest.param({"1": "b", "2": "b", "3": "a", "4": "a"}, "abc", 0, ("3",), id="the first"),
        pytest.param({"1": "a", "2": "a", "3": "b", "4": "c"}, "abc", 0, (), id="even enough"),
        pytest.param({"1": "a", "2": "b", "3": "c"}, "bc", 0, (), id="not its own any more"),
        pytest.param({"1": "a"}, "ab", 0, (), id="fewer numbers than nodes"),
    ],
)
def test_a_node_moves_to_its_share(
    owners: dict[str, str], nodes: str, claim: int, leave: tuple[str, ...]
) -> None:
    assert moves("a", owners, [*nodes]) == Moves(claim, leave)


NODES = "abcdef"


def settle(owners: dict[str, str], nodes: list[str], rng: random.Random) -> int:
    """Let the nodes move in any order, until none does; gives how many moves it took."""
    for moved in range(10 * len(owners) + 10):
        wanted = {node: moves(node, owners, nodes) for node in nodes}
        active = [node for node in nodes if wanted[node] != Moves(0, ())]
        if not active:
            return moved
        node = rng.choice(active)
        # What the node saw may be old: it takes what is free when it comes to it.
        for number in wanted[node].leave[:1]:
            owners[number] = ""
        free = [number for number, owner in owners.items() if owner not in nodes]
        for number in free[: wanted[node].claim]:
            owners[number] = node
    raise AssertionError("the nodes do not come to an end")


@given(
    owners=st.dictionaries(st.integers(1, 60).map(str), st.sampled_from(["", "dead", *NODES])),
    count=st.integers(1, 6),
    seed=st.integers(0, 1000),
)
def test_the_nodes_share_all_numbers_evenly(owners: dict[str, str], count: int, seed: int) -> None:
    nodes = [*NODES[:count]]
    settle(owners, nodes, random.Random(seed))  # noqa: S311 - repeatable on purpose
    shares = Counter(dict.fromkeys(nodes, 0))
    shares.update(owners.values())
    assert set(shares) == set(nodes)  # each number has a living owner
    assert max(shares.values()) - min(shares.values()) <= 1


@given(numbers=st.integers(0, 60), count=st.integers(1, 5), seed=st.integers(0, 1000))
def test_few_numbers_move_when_a_node_comes_or_goes(numbers: int, count: int, seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311 - repeatable on purpose
    owners = {str(number): "" for number in range(numbers)}
    nodes = [*NODES[:count]]
    settle(owners, nodes, rng)
    before = dict(owners)
    nodes.append(NODES[count])
    settle(owners, nodes, rng)
    joined = [number for number in owners if owners[number] != before[number]]
    assert {owners[number] for number in joined} <= {NODES[count]}
    assert len(joined) == numbers // (count + 1)

    gone, before = rng.choice(nodes), dict(owners)
    nodes.remove(gone)
    settle(owners, nodes, rng)
    moved = [number for number in owners if owners[number] != before[number]]
    assert {before[number] for number in moved} <= {gone}
