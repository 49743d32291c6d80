"""Scripted faults of the simulated gateway's calls."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import trio

from daemon.domain.messages import JsonObject
from daemon.sandbox import faults
from daemon.sandbox.asgi import (
    Answer,
    Receive,
    Send,
    error_answer,
    json_answer,
    send_head,
    wait_disconnect,
)
from daemon.sandbox.faults import FaultReply

FaultKind = Literal[
    "status",  # refused with `status`, not done
    "status_after",  # done, and answered with `status` all the same
    "hold",  # held until released, then done and answered; not done if the client leaves first
    "hold_answer",  # done, the answer held until released
    "drop_before",  # connection cut, not done
    "drop_after",  # done, connection cut before the answer
    "half_body",  # done, connection cut in the middle of the answer's body
    "garbage",  # done, answered 200 with something that is not JSON
    "no_id",  # done, answered 200 with no message id in it
    "slow",  # done, the second half of the answer's body held until released
    "endless",  # done, answered 200 with a body that goes on until the client leaves
    "wrong_type",  # done, answered 200 with a web page in the place of a file
    "not_sent",  # not done, answered 200 with ``sent: false`` and an error of code `status`
    "redirect",  # not done, answered 302 to `location`
    "failed",  # for the operation ``delivery`` alone: WhatsApp says that a message failed
]
"""What goes wrong. *Done* means: for a send, the customer got the message."""


@dataclass(eq=False, kw_only=True)
class Fault(faults.Fault):
    """One scripted fault. Made by `Faults.add`; tests wait for `reached` and call `release`."""

    kind: FaultKind
    chat: str = ""
    status: int = 500
    retry_after: str = ""
    location: str = ""
    message: str = "scripted fault"
    where: Callable[[JsonObject], bool] | None = None
    times: int = 1
    """How many more calls it will meet; -1 for all until `Faults.reset`."""
    hits: int = 0
    reached: trio.Event = field(default_factory=trio.Event)
    """Set when a call has met the fault (before it is held or refused)."""
    released: trio.Event = field(default_factory=trio.Event)

    def release(self) -> None:
        """Let the calls that ``hold``, ``hold_answer`` and ``slow`` hold go on."""
        self.released.set()

    def meets(self, operation: str, chat: str, fields: JsonObject) -> bool:
        fits = super().meets(operation, chat, fields) and self.chat in {"", chat}
        if not fits or self.times == 0 or (self.where is not None and not self.where(fields)):
            return False
        if self.times > 0:
            self.times -= 1
        self.hits += 1
        self.reached.set()
        return True

    async def refuse(self, receive: Receive) -> FaultReply | None:
        match self.kind:
            case "status":
                return FaultReply(self._status_answer())
            case "not_sent":
                error = {"code": self.status, "message": self.message}
                return FaultReply(json_answer({"sent": False, "error": error}))
            case "redirect":
                return FaultReply(Answer(302, b"", "text/plain", {"location": self.location}))
            case "drop_before":
                return FaultReply(None)
            case "hold" if not await wait_unless_gone(self.released, receive):
                return FaultReply(None)
        return None

    async def spoil(self, answer: Answer, receive: Receive) -> FaultReply:
        if self.kind == "hold_answer":
            await wait_unless_gone(self.released, receive)
        spoilt = {
            "status_after": FaultReply(self._status_answer()),
            "drop_after": FaultReply(None),
            "half_body": HalfReply(answer),
            "garbage": FaultReply(Answer(200, b"<html><body>Bad gateway", "text/html")),
            "no_id": FaultReply(json_answer({"sent": True, "message": {}})),
            "slow": HalfReply(answer, self.released),
            "endless": EndlessReply(answer),
            "wrong_type": FaultReply(Answer(200, _WEB_PAGE, answer.content_type)),
        }
        return spoilt.get(self.kind, FaultReply(answer))

    def _status_answer(self) -> Answer:
        answer = error_answer(self.status, self.message)
        headers = {"retry-after": self.retry_after} if self.retry_after else {}
        return Answer(answer.status, answer.body, answer.content_type, headers)


_WEB_PAGE = b"<!doctype html><title>Sign in</title><p>This is no file."


class Faults(faults.Faults):
    """The faults still to happen, met in the order in which they were added."""

    def add(self, *, operation: str, kind: FaultKind, **how: Any) -> Fault:
        """Script a fault for the next call of `operation`, or for `times` (-1: all); return it.

        Operations are the names in the gateway's route table, such as ``send``, ``presence``,
        ``subscribe``, ``list``, ``health``, ``media`` (a file by its id), ``file`` (by its link);
        ``*`` is any. `chat` narrows it to one chat id, `where` to requests whose fields it returns
        True for. `status`, `retry_after` (the header's text) and `message` (Whapi's words) are for
        the kinds that answer a status, `location` is for ``redirect``.
        """
        fault = Fault(operation=operation, kind=kind, **how)
        self.put(fault)
        return fault

    def remove(self, fault: faults.Fault) -> None:
        """Forget one fault, and let the calls it holds go on."""
        super().remove(fault)
        if isinstance(fault, Fault):
            fault.release()

    def reset(self) -> None:
        """Forget all faults and let the calls they hold go on."""
        for fault in list(self._faults):
            self.remove(fault)


@dataclass(frozen=True, slots=True)
class HalfReply(FaultReply):
    """The first half of an answer's body, and after an event the second; without one, a cut."""

    answer: Answer
    rest_after: trio.Event | None = None

    async def send(self, receive: Receive, send: Send) -> None:
        await send_head(send, self.answer)
        half = len(self.answer.body) // 2
        first = {"type": "http.response.body", "body": self.answer.body[:half], "more_body": True}
        await send(first)
        # An application that returns before it has sent the length it announced makes hypercorn
        # close the connection.
        if self.rest_after is not None and await wait_unless_gone(self.rest_after, receive):
            await send({"type": "http.response.body", "body": self.answer.body[half:]})


@dataclass(frozen=True, slots=True)
class EndlessReply(FaultReply):
    """An answer whose body is repeated until the client leaves."""

    answer: Answer

    async def send(self, receive: Receive, send: Send) -> None:
        await send_head(send, self.answer, whole=False)
        body = self.answer.body or bytes(65_536)
        async with trio.open_nursery() as nursery:

            async def watch() -> None:
                await wait_disconnect(receive)
                nursery.cancel_scope.cancel()

            nursery.start_soon(watch, name="gateway client watch")
            while True:
                await send({"type": "http.response.body", "body": body, "more_body": True})
                await trio.lowlevel.checkpoint()


async def wait_unless_gone(event: trio.Event, receive: Receive) -> bool:
    """Wait for `event`; return False if the client hung up before it."""

    async def watch() -> None:
        await wait_disconnect(receive)
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch, name="gateway client watch")
        await event.wait()
        nursery.cancel_scope.cancel()
    return event.is_set()
