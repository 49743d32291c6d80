"""Echoes: the webhooks by which Whapi tells of messages that were sent through it."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from daemon.domain.messages import JsonObject
from daemon.sandbox import payloads
from daemon.sandbox.faults import Faults
from daemon.sandbox.people import People, Status
from daemon.sandbox.webhooks import Delivery

EchoMode = Literal[
    "after",  # told when the send was answered
    "before",  # told, and the daemon's answer awaited, before the send is answered
    "delayed",  # kept until `release`
    "missing",  # never told
    "other_id",  # told under an id that the send's answer did not give
]

Fate = Literal["pending", "sent", "delivered", "read"]
_WAYS: Mapping[Fate, tuple[Status, ...]] = {
    "pending": (),
    "sent": ("sent",),
    "delivered": ("sent", "delivered"),
    "read": ("sent", "delivered", "read"),
}
UNDELIVERABLE = "Message undeliverable"


@dataclass(frozen=True, slots=True)
class Echo:
    """A delivered send, and how it shall be told of: as the mode was when it was delivered."""

    message: JsonObject
    mode: EchoMode


class Echoes:
    """Tells of delivered sends: ``messages.post``, then ``statuses.post`` as far as they get."""

    def __init__(self, *, people: People, faults: Faults, rng: random.Random) -> None:
        self.mode: EchoMode = "after"
        self.fate: Fate = "delivered"
        """How far messages get by themselves."""
        self.statuses = True
        """Whether the statuses are told; they follow the echo, and come without it if missing."""
        self.faults = faults
        self._people = people
        self._rng = rng
        self._kept: list[JsonObject] = []

    def begin(self, message: JsonObject) -> Echo:
        """Return the echo of a message that was just delivered."""
        return Echo(message, self.mode)

    async def before_answer(self, echo: Echo) -> None:
        """Tell of a message whose send is not answered yet, if that is the mode."""
        if echo.mode == "before":
            # A lane of its own: calls of the chat that still wait must not hold up the answer.
            message_id = echo.message["id"]
            for delivery in self._tell(echo.message, lane=f"echo {message_id}"):
                await delivery.wait("attempted")

    def after_answer(self, echo: Echo) -> None:
        """Tell of a message whose send was answered, or will never be. Never waits."""
        if echo.mode == "delayed":
            self._kept.append(echo.message)
            return
        if echo.mode == "after":
            self._tell(echo.message)
        elif echo.mode == "other_id":
            self._tell({**echo.message, "id": payloads.new_id(self._rng)})
        self._tell_statuses(echo.message)

    def release(self) -> None:
        """Tell of the messages kept so far."""
        kept, self._kept = self._kept, []
        for message in kept:
            self._tell(message)
            self._tell_statuses(message)

    def _tell(self, message: JsonObject, *, lane: str = "") -> list[Delivery]:
        ids, parts = (message["id"],), {"messages": [message]}
        return self._people.queue(message["chat_id"], "messages.post", parts, ids, lane=lane)

    def _tell_statuses(self, message: JsonObject) -> None:
        if self.faults.take("delivery", message["chat_id"]):
            self._people.set_status(
                message["id"], "failed", error=UNDELIVERABLE, told=self.statuses
            )
            return
        reached: tuple[Status, ...] = _WAYS[self.fate]
        for status in reached:
            self._people.set_status(message["id"], status, told=self.statuses)
