"""One process a store, whatever becomes of it."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing
from support.ledgers import accept, message, message_state
from support.place import store_in

from daemon.errors import StoreInUse
from daemon.ledger.drivers.sqlite.opening import owned

pytestmark = pytest.mark.sqlite

ROOT = Path(__file__).parents[2]

HOLDER = """
import sys, time
from pathlib import Path

import trio

from daemon.ledger.ledger import open_store


async def main(folder):
    async with open_store(folder, clock=time.perf_counter):
        print("open", flush=True)
        await trio.sleep_forever()


trio.run(main, Path(sys.argv[1]))
"""


@asynccontextmanager
async def holder_of(folder: Path) -> AsyncIterator[subprocess.Popen[bytes]]:
    """Another process that has the store of a folder open."""
    process = subprocess.Popen(  # noqa: ASYNC220 - a fork takes a moment; its pipe is read in a thread
        [sys.executable, "-c", HOLDER, str(folder)],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    with process, process.stdout:
        try:
            line = await trio.to_thread.run_sync(process.stdout.readline)
            assert line == b"open\n"
            yield process
        finally:
            process.kill()


async def test_a_second_process_is_refused_with_the_owner_of_the_store(tmp_path: Path) -> None:
    with trio.fail_after(30):
        async with holder_of(tmp_path) as process:
            with pytest.raises(StoreInUse, match=rf"\(pid {process.pid}\)"):
                async with store_in(tmp_path):
                    raise AssertionError("two processes have the store")


async def test_a_killed_process_leaves_no_lock(tmp_path: Path) -> None:
    with trio.fail_after(30):
        async with holder_of(tmp_path) as process:
            process.kill()
            await trio.to_thread.run_sync(process.wait)
            async with store_in(tmp_path) as store:
                await accept(store, message("m-1"))


async def test_the_same_process_has_it_once_at_a_time(tmp_path: Path) -> None:
    async with store_in(tmp_path):
        with pytest.raises(StoreInUse, match=rf"\(pid {os.getpid()}\)"):
            async with store_in(tmp_path):
                raise AssertionError("the store is open twice")
    async with store_in(tmp_path):
        pass


async def test_a_refused_opener_leaves_the_holder_alone(tmp_path: Path) -> None:
    async with store_in(tmp_path) as store:
        with pytest.raises(StoreInUse):
            async with store_in(tmp_path):
                raise AssertionError("the store is open twice")
        await accept(store, message("m-1"))
        with pytest.raises(StoreInUse):
            async with store_in(tmp_path):
                raise AssertionError("the refusal has freed the lock")
        assert message_state(store, "m-1") == ("received", "")


async def test_a_start_waits_a_moment_for_a_command_that_has_the_store(tmp_path: Path) -> None:
    """`recado forget` has it for a slice at a time; a daemon that starts gets it in between."""
    async with store_in(tmp_path):
        pass
    opened = trio.Event()

    async def start() -> None:
        async with store_in(tmp_path):
            opened.set()

    with trio.fail_after(30), ExitStack() as command:
        command.enter_context(owned(tmp_path / "recado.lock"))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(start)
            await trio.testing.wait_all_tasks_blocked()
            assert not opened.is_set()
            command.close()
            await opened.wait()
