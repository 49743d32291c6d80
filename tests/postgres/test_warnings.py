"""What a node warns of: files that others do not have, a slow watchdog, a wrong clock."""

import json
import time
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
import trio
from pydantic import SecretStr
from support.operator import recado
from support.scenes import logged
from support.stage import new_world, open_stage

from daemon.conversation.opening import _node
from daemon.ops.checks import Finding, _clock
from daemon.settings import Settings
from daemon.settings.operation import FileSettings, StoreSettings

HOUR = 3600.0


async def test_a_node_whose_clock_is_an_hour_ahead_says_so(tmp_path: Path, url: str) -> None:
    assert url
    folder = tmp_path / "data"
    async with open_stage(folder, node={"lease_seconds": 1}) as stage:
        assert not stage.events("our clock differs from the database's")
        await stage.stop()
        stage.pass_time(HOUR)
        await stage.start()
        (line,) = await logged(stage, "our clock differs from the database's")
        assert HOUR - 60 <= line["seconds_ahead"] <= HOUR
        with trio.fail_after(60):
            while "its clock is" not in (said := (await recado(folder, "nodes")).output):  # noqa: ASYNC110
                await trio.sleep(0.1)
        assert "s ahead of the database's" in said
        assert (await stage.get("/ready")).status_code == 200


def test_the_check_compares_the_clocks(url: str) -> None:
    def found(place: str, off: float) -> Finding:
        settings = Settings().model_copy(update={"store": StoreSettings(url=SecretStr(place))})
        (finding,) = _clock(settings, lambda: time.time() + off)
        return finding

    assert found(url, 0).level == "ok"
    behind = found(url, -24 * HOUR)
    assert behind.level == "warning"
    assert behind.text.endswith("s behind the database's")
    assert found("postgresql:///nobody?host=/nowhere", 0).level == "error"
    assert _clock(Settings(), time.time) == []


@pytest.mark.parametrize(
    ("files", "watchdog_seconds", "warned"),
    [
        ("", 20.0, "files.url is not set: another node does not have the files of messages"),
        ("s3://recado/media?endpoint=http://127.0.0.1:1", 20.0, ""),
        (
            "s3://recado/media?endpoint=http://127.0.0.1:1",
            60.0,
            "the watchdog is slower than the lease and a call of the gateway together",
        ),
    ],
    ids=["local", "shared", "slow"],
)
def test_the_start_says_what_would_not_do_beside_other_nodes(
    url: str, files: str, watchdog_seconds: float, warned: str
) -> None:
    settings = Settings().model_copy(
        update={
            "store": StoreSettings(url=SecretStr(url)),
            "files": FileSettings(url=files),
        }
    )

    def said(settings: Settings) -> list[str]:
        log = StringIO()
        _node(settings, replace(new_world(log), watchdog_seconds=watchdog_seconds))
        return [json.loads(line)["event"] for line in log.getvalue().splitlines()]

    assert said(settings) == ([warned] if warned else [])
    alone = settings.model_copy(update={"store": StoreSettings()})
    assert said(alone) == []  # one process has everything
