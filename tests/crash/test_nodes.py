"""Two real daemons on one PostgreSQL: faults of each kind, judged by the simulators' ledgers.

``python -m support.nodes_main --help`` is the long form of it.
"""

from collections.abc import Sequence
from pathlib import Path

import pytest
from support.node_faults import (
    NodeFault,
    cut,
    hand_over,
    kill_owner,
    rolling_upgrade,
    stall_at,
    suffer,
)
from support.nodes import PatientNodes


@pytest.mark.parametrize(
    "faults", [(kill_owner, hand_over, cut), (stall_at("before send"),)], ids=["ends", "stall"]
)
async def test_nodes_lose_nothing_and_send_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, faults: Sequence[NodeFault]
) -> None:
    monkeypatch.setenv("TEST_STORE", "postgres")
    figures, found = await suffer(tmp_path, faults, seed=7, per_second=1)
    assert not found
    assert figures["messages"] == figures["acknowledged"] > 0


async def test_nodes_are_upgraded_one_after_the_other_and_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While customers write; the node that remains refuses no call."""
    monkeypatch.setenv("TEST_STORE", "postgres")
    figures, found = await suffer(
        tmp_path, (rolling_upgrade,) * 2, seed=7, kind=PatientNodes, per_second=1
    )
    assert not found
    assert figures["messages"] == figures["acknowledged"] > 0
