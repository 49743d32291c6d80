"""Two real daemons on one PostgreSQL: faults of each kind, judged by the simulators' ledgers.

``python -m support.nodes_main --help`` is the long form of it.
"""

from collections.abc import Sequence
from pathlib import Path

import pytest
from support.node_faults import NodeFault, cut, hand_over, kill_owner, stall_at, suffer


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
