"""The dashboard on a whole daemon: lines as they happen, over restarts, and its own figures."""

import json
from pathlib import Path

import httpx
import pytest
import trio
from support.brisk import open_brisk_stage
from support.plain import NO_TLS
from support.rows import select
from support.scenes import found
from support.stage import LAURA, Stage, text_webhook
from support.websocket import websocket

pytestmark = pytest.mark.usefixtures("noted_statements")

PATH = "/dashboard/api/logs"


def port(stage: Stage) -> int:
    return int(stage.url.rpartition(":")[2])


async def stored(stage: Stage) -> list[tuple[int, str]]:
    """Number and kind of the lines on the disk."""
    return [
        (number, kind)
        for number, kind in select(stage.settings.data_dir, "log_lines", "id, kind", order="id")
    ]


async def test_a_conversation_is_shown_as_it_happens(tmp_path: Path) -> None:
    async with open_brisk_stage(tmp_path / "data") as stage:
        async with websocket(port(stage), PATH) as client:
            await client.live()
            await stage.post(text_webhook("¿Tienen cupo?", "m1"))
            lines: list[dict[str, object]] = []
            while not any(line["kind"] == "response" for line in lines):
                lines += await client.lines(1)
        (message,) = [line for line in lines if line["kind"] == "message"]
        assert "¿Tienen cupo?" in str(message["line"])
        assert LAURA not in json.dumps(lines)
        (answer,) = [line for line in lines if line["kind"] == "response"]
        assert str(answer["turn"]).startswith("turn_")
        assert message["ref"] == answer["ref"] != ""
        found_again = (await stage.get(f"/dashboard/logs?chat={answer['ref']}")).json()
        assert [line["id"] for line in found_again["lines"] if line["kind"] == "response"] == [
            answer["id"]
        ]


async def test_a_reader_gets_missed_lines_over_restarts_once(tmp_path: Path) -> None:
    async with open_brisk_stage(tmp_path / "data") as stage:
        seen: list[int] = []
        for number in range(3):
            after = seen[-1] if seen else 0
            async with websocket(port(stage), f"{PATH}?after={after}") as client:
                seen += [line["id"] for line in await client.live()]
                await stage.post(text_webhook(f"message {number}", f"m{number}"))
                kinds: set[str] = set()
                while "response" not in kinds:  # on PostgreSQL several come together
                    lines = await client.lines(1)
                    seen += [line["id"] for line in lines]
                    kinds = {line["kind"] for line in lines}
            await stage.stop()
            await stage.start()
        on_disk = [number for number, _ in await stored(stage)]
        rest = (await stage.get(f"/dashboard/logs?after={seen[-1]}&limit=1000")).json()["lines"]
        seen += [line["id"] for line in rest]
        assert seen == sorted(set(seen))
        assert set(on_disk) <= set(seen)
        assert [kind for _, kind in await stored(stage)].count("message") == 3


async def test_numbers_are_not_given_twice_after_a_crash(tmp_path: Path) -> None:
    async with open_brisk_stage(tmp_path / "data") as stage:
        async with websocket(port(stage), f"{PATH}?history=0") as client:
            await client.live()
            await stage.post(text_webhook("lost", "m1"))
            *_, shown = await client.lines(1)
        await stage.crash()
        await stage.start()
        async with websocket(port(stage), f"{PATH}?after={shown['id']}") as client:
            lines = await client.live()
            while "ready" not in [line["kind"] for line in lines]:
                lines += await client.lines(1)
        numbers = [shown["id"], *(line["id"] for line in lines)]
        assert numbers == sorted(set(numbers))


async def test_stop_closes_readers_and_is_quick(tmp_path: Path) -> None:
    async with (
        open_brisk_stage(tmp_path / "data", shutdown={"deadline_seconds": 60.0}) as stage,
        websocket(port(stage), PATH) as client,
    ):
        await client.live()
        with trio.fail_after(30):
            await stage.stop()
        with pytest.raises(trio.EndOfChannel):
            await client.lines(100)
        assert client.closed is not None
        assert client.closed.code == 1001


async def test_the_daemon_keeps_its_own_figures(tmp_path: Path) -> None:
    async with open_brisk_stage(tmp_path / "data", dashboard={"sample_seconds": 0.05}) as stage:
        await stage.post(text_webhook("hello", "m1"))
        await stage.quiet()

        def answered() -> int:
            rows = select(stage.settings.data_dir, "samples", "figures")
            return sum(json.loads(figures)["answers"] for (figures,) in rows)

        assert await found(answered) == 1
        figures = (await stage.get("/dashboard/stats")).json()
        assert figures["lastHour"]["messages"] == 1
        assert figures["now"]["memoryBytes"] > 1_000_000
        assert [part["state"] for part in figures["parts"]] == ["ok"] * 4


async def test_a_whole_number_is_only_shown_on_request(tmp_path: Path) -> None:
    async with open_brisk_stage(tmp_path / "data") as stage:
        await stage.post(text_webhook("hello", "m1"))
        await stage.quiet()

        async def refs() -> set[str]:
            lines = (await stage.get("/dashboard/logs")).json()["lines"]
            return {line["ref"] for line in lines if line["ref"]}

        with trio.fail_after(30):
            while not (shown := await refs()):  # noqa: ASYNC110 - rows of another task
                await trio.sleep(0.05)
        (ref,) = shown
        assert LAURA not in (await stage.get("/dashboard/log")).text
        async with httpx.AsyncClient(verify=NO_TLS, timeout=30, trust_env=False) as client:
            told = await client.post(f"{stage.url}/dashboard/api/reveal", json={"ref": ref})
        assert told.json() == {"number": f"+{LAURA}"}
