"""The daemon on a gateway that can do less: it asks what the gateway can, and goes without."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from support.model_script import say
from support.scenes import forgive, found, open_scene, outbox, outcomes
from support.stage import LAURA

from daemon.gateway.port import Capabilities, Gateway


@dataclass
class Lacking:
    """A gateway without some of its capabilities; it notes which calls are made of it."""

    gateway: Gateway
    lacks: Collection[str]
    asked: set[str]

    @property
    def capabilities(self) -> Capabilities:
        """Those that are left."""
        lacks: dict[str, Any] = dict.fromkeys(self.lacks, False)
        return replace(self.gateway.capabilities, **lacks)

    def __getattr__(self, name: str) -> object:
        self.asked.add(name)
        return getattr(self.gateway, name)


LACKING = ("lists_messages", "shows_typing", "sees_typing")


async def test_a_customer_is_answered_without_anything_but_sends(tmp_path: Path) -> None:
    asked: set[str] = set()
    async with open_scene(tmp_path, started=False, delivery={"typing": True}) as stage:
        stage.wrap_gateway = lambda gateway: cast(  # type: ignore[method-assign]
            "Gateway", Lacking(gateway, LACKING, asked)
        )
        await stage.start()
        stage.model.script(say("Con gusto"))
        await stage.gateway.customer_says(LAURA, "Hola")
        await stage.gateway.wait_sent(LAURA)
        await found(lambda: outcomes(stage) == ["answered"])
        assert "send" in asked
        lacked = {"list_messages", "set_presence", "subscribe_presence"}
        assert asked & lacked == set()


async def test_a_send_that_cannot_be_looked_up_is_not_repeated(tmp_path: Path) -> None:
    """Its echo may still settle it; then it is left, and operators see it as failed."""
    asked: set[str] = set()
    async with open_scene(tmp_path, started=False) as stage:
        stage.wrap_gateway = lambda gateway: cast(  # type: ignore[method-assign]
            "Gateway", Lacking(gateway, ["lists_messages"], asked)
        )
        await stage.start()
        stage.rules = {"echo_seconds": 0.1}
        stage.gateway.echoes.mode = "missing"
        stage.gateway.echoes.statuses = False
        stage.gateway.faults.add(operation="send", kind="drop_after")
        stage.model.script(say("Con gusto"))
        await stage.gateway.customer_says(LAURA, "Hola")
        await found(lambda: outbox(stage) == [("failed", "Con gusto")])
        assert stage.received() == ["Con gusto"]
        assert "list_messages" not in asked
        forgive(stage)
