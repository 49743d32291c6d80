"""The connection that is built when it is first asked for."""

import trio
import trio.testing

from daemon.assistant.port import connection_to


async def test_it_is_built_once_and_then_had_without_waiting() -> None:
    lazy = connection_to(base_url="http://127.0.0.1:9/v1", api_key="", idle_seconds=1)
    found: list[object] = []

    async def ask() -> None:
        found.append(await lazy.get())

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            nursery.start_soon(ask)
        with trio.testing.assert_no_checkpoints():
            await ask()
        await lazy.aclose()
    assert found == [lazy.built] * 3
