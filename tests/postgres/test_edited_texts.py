"""A text that is edited on one node, and the others."""

from pathlib import Path

import pytest
import trio
from postgres.test_nodes import opened
from support.place import POSTGRES

from daemon.domain.audit_chain import Actor
from daemon.ledger.ledger import Store

OLGA = Actor(name="account Olga")


async def save(store: Store, text: str | None, after: int) -> bool:
    return await store.text_versions.save(
        "eins", "apology", text, after=after, file_digest="f", by=OLGA, now=1.0
    )


async def test_of_two_nodes_one_saves_and_both_see_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_STORE", "postgres")
    url = POSTGRES.url(tmp_path)
    with trio.fail_after(90):
        async with opened(tmp_path, url, "a") as a, opened(tmp_path, url, "b") as b:
            done: list[bool] = []

            async def try_on(store: Store, text: str) -> None:
                done.append(await save(store, text, 0))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(try_on, a, "Uno")
                nursery.start_soon(try_on, b, "Dos")
            assert sorted(done) == [False, True]
            ours, theirs = await a.text_versions.at_work(), await b.text_versions.at_work()
            assert ours == theirs
            assert ours[0] == 1
            assert await save(b, None, 1)
            count, (newest,) = await a.text_versions.at_work()
            assert (count, newest.text, newest.author) == (2, None, "Olga")
