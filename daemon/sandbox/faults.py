"""Faults that a test scripts: what goes wrong with which calls of the simulated gateway."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import trio

from daemon.domain.messages import JsonObject
from daemon.sandbox.asgi import (
    Answer,
    Receive,
    Send,
    cut_connection,
    error_answer,
    json_answer,
    send_answer,
    send_in_parts,
    wait_unless_gone,
)

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


@dataclass(eq=False, slots=True)
class Fault:
    """One scripted fault. Made by `Faults.add`; tests wait for `reached` and call `release`."""

    operation: str
    kind: FaultKind
    chat: str
    status: int
    retry_after: str
    location: str
    message: str
    where: Callable[[JsonObject], bool] | None
    times: int
    """How many more calls it will meet; -1 for all until `Faults.reset`."""
    hits: int = 0
    reached: trio.Event = field(default_factory=trio.Event)
    """Set when a call has met the fault (before it is held or refused)."""
    released: trio.Event = field(default_factory=trio.Event)

    def release(self) -> None:
        """Let the calls that ``hold``, ``hold_answer`` and ``slow`` hold go on."""
        self.released.set()


class Faults:
    """The faults still to happen, met in the order in which they were added."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(
        self,
        *,
        operation: str,
        kind: FaultKind,
        times: int = 1,
        chat: str = "",
        status: int = 500,
        retry_after: str = "",
        location: str = "",
        message: str = "scripted fault",
        where: Callable[[JsonObject], bool] | None = None,
    ) -> Fault:
        """Script a fault for the next `times` calls of `operation` (-1: all), and return it.

        Operations are the names in the gateway's route table, such as ``send``, ``presence``,
        ``subscribe``, ``list``, ``health``, ``media`` (a file by its id), ``file`` (by its link);
        ``*`` is any. `chat` narrows it to one chat id, `where` to requests whose fields it returns
        True for. `status`, `retry_after` (the header's text) and `message` (Whapi's words) are for
        the kinds that answer a status, `location` is for ``redirect``.
        """
        fault = Fault(operation, kind, chat, status, retry_after, location, message, where, times)
        self._faults.append(fault)
        return fault

    def take(self, operation: str, chat: str, fields: JsonObject | None = None) -> Fault | None:
        """Return the fault that this call with these fields meets, if any, and count it."""
        for fault in self._faults:
            anything = fault.operation == "*" and operation != "delivery"
            meant = anything or fault.operation == operation
            fits = meant and fault.chat in {"", chat}
            fits = fits and (fault.where is None or fault.where(fields or {}))
            if fits and fault.times != 0:
                if fault.times > 0:
                    fault.times -= 1
                fault.hits += 1
                fault.reached.set()
                return fault
        return None

    def remove(self, fault: Fault) -> None:
        """Forget one fault, and let the calls it holds go on."""
        fault.release()
        if fault in self._faults:
            self._faults.remove(fault)

    def reset(self) -> None:
        """Forget all faults and let the calls they hold go on."""
        for fault in self._faults:
            fault.release()
        self._faults.clear()


@dataclass(frozen=True, slots=True)
class Reply:
    """What a client gets: an answer, the first bytes of one (`cut_after`), or none at all."""

    answer: Answer | None
    cut_after: int | None = None
    rest_after: trio.Event | None = None
    """The second half of the body waits for this."""
    endless: bool = False
    """The body is repeated until the client leaves."""

    async def send(self, receive: Receive, send: Send) -> None:
        """Send it, or cut the connection."""
        if self.answer is None:
            await cut_connection(send)
        elif self.endless or self.rest_after is not None:
            await send_in_parts(receive, send, self.answer, rest_after=self.rest_after)
        else:
            await send_answer(send, self.answer, cut_after=self.cut_after)


async def refuse(fault: Fault | None, receive: Receive) -> Reply | None:
    """Play the faults that keep a call from being done; return None if it shall be done."""
    if fault is None:
        return None
    if fault.kind == "status":
        return Reply(_status_answer(fault))
    if fault.kind == "not_sent":
        error = {"code": fault.status, "message": fault.message}
        return Reply(json_answer({"sent": False, "error": error}))
    if fault.kind == "redirect":
        return Reply(Answer(302, b"", "text/plain", {"location": fault.location}))
    if fault.kind == "drop_before":
        return Reply(None)
    if fault.kind == "hold" and not await wait_unless_gone(fault.released, receive):
        return Reply(None)
    return None


async def spoil(fault: Fault | None, answer: Answer, receive: Receive) -> Reply:
    """Return what the client gets of the answer to a call that was done."""
    if fault is None:
        return Reply(answer)
    if fault.kind == "hold_answer":
        await wait_unless_gone(fault.released, receive)
    spoilt = {
        "status_after": Reply(_status_answer(fault)),
        "drop_after": Reply(None),
        "half_body": Reply(answer, len(answer.body) // 2),
        "garbage": Reply(Answer(200, b"<html><body>Bad gateway", "text/html")),
        "no_id": Reply(json_answer({"sent": True, "message": {}})),
        "slow": Reply(answer, rest_after=fault.released),
        "endless": Reply(answer, endless=True),
        "wrong_type": Reply(Answer(200, _WEB_PAGE, answer.content_type)),
    }
    return spoilt.get(fault.kind, Reply(answer))


_WEB_PAGE = b"<!doctype html><title>Sign in</title><p>This is no file."


def _status_answer(fault: Fault) -> Answer:
    answer = error_answer(fault.status, fault.message)
    headers = {"retry-after": fault.retry_after} if fault.retry_after else {}
    return Answer(answer.status, answer.body, answer.content_type, headers)
