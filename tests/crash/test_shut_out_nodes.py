"""A version whose tables the version before cannot work with, beside a node of that version."""

import random
import signal
from pathlib import Path

import pytest
import trio
from support.crash_process import POLL_SECONDS
from support.newer import RENAMES, newer_version
from support.node_faults import suffer
from support.nodes import WAIT_SECONDS, Node, Nodes, PatientNodes


async def test_a_version_that_older_nodes_cannot_work_with_waits_and_ends_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_STORE", "postgres")
    faults = (upgrade_that_shuts_out,)
    figures, found = await suffer(tmp_path, faults, seed=7, kind=PatientNodes, per_second=1)
    assert not found
    assert figures["messages"] == figures["acknowledged"] > 0


async def upgrade_that_shuts_out(nodes: Nodes, _rng: random.Random) -> None:
    """The new node waits for the old one, which stands still, and finds that it is shut out."""
    old, new = nodes.nodes
    checkout = newer_version(nodes.folder / "renames", RENAMES)
    await new.stop()
    await nodes.owned(not_by=new)
    new.lives.install(checkout)
    await new.lives.start()
    await logged(nodes, new, "this node waits for that")
    await nodes.write("573001234567")
    assert not nodes.takes_part(new)

    old.takes_calls = old.is_to_run = False
    old.lives.signal(signal.SIGSTOP)
    await new.lives.ready()
    new.takes_calls = new.is_to_run = True
    await nodes.owned(not_by=old)
    old.lives.signal(signal.SIGCONT)
    with trio.fail_after(WAIT_SECONDS):
        assert await old.lives.ended() != 0
    await logged(nodes, old, "is the first that can work with it")
    old.lives.install(checkout)
    await old.start()


async def logged(nodes: Nodes, node: Node, words: str) -> None:
    """Wait until a node has logged something."""
    with trio.fail_after(WAIT_SECONDS):
        while words not in (nodes.folder / node.name / "victim.log").read_text():  # noqa: ASYNC110
            await trio.sleep(POLL_SECONDS)
