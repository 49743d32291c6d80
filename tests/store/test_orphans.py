"""What a model server keeps for us: known until it is answered or gone, and then an orphan."""

from pathlib import Path

from support.ledgers import LAURA, accept, message, open_turn
from support.place import store_in

from daemon.domain.messages import ModelResponse
from daemon.domain.records import Run
from daemon.ledger.ledger import Store

ANSWER = ModelResponse(id="resp-1", items=())


async def started(store: Store) -> Run:
    """A run whose first response has an id."""
    await accept(store, message("m-1"))
    run = await store.runs.begin(await open_turn(store), now=101)
    await store.runs.round_started(run, 0, now=102)
    await store.runs.round_named(run, 0, "resp-1", now=103)
    return run


async def test_a_response_that_a_run_will_ask_for_is_no_orphan(tmp_path: Path) -> None:
    async with store_in(tmp_path) as store:
        await started(store)
        assert await store.orphans.left(before=200) == ()


async def test_an_answered_response_is_forgotten(tmp_path: Path) -> None:
    async with store_in(tmp_path) as store:
        run = await started(store)
        await store.runs.round_completed(run, 0, ANSWER, now=104)
        assert await store.orphans.left(before=200) == ()


async def test_one_that_waits_for_outputs_is_an_orphan_of_the_next_process(tmp_path: Path) -> None:
    """Its round is complete, so nobody asks for it; what this process has noted is not meant."""
    async with store_in(tmp_path) as store:
        run = await started(store)
        await store.runs.round_completed(run, 0, ANSWER, waits=True, now=150)
        assert await store.orphans.left(before=150) == ()
        assert await store.orphans.left(before=151) == ("resp-1",)


async def test_an_abandoned_response_is_an_orphan_until_the_server_has_none(
    tmp_path: Path,
) -> None:
    async with store_in(tmp_path) as store:
        run = await started(store)
        assert await store.runs.abandon_response(run.turn_id, now=104) == "resp-1"
    async with store_in(tmp_path) as store:
        assert await store.turns.active(LAURA) is not None
        assert await store.orphans.left(before=200) == ("resp-1",)
        await store.orphans.released("resp-1")
        assert await store.orphans.left(before=200) == ()
