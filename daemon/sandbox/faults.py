"""Failures of the simulated gateway, and the phone page's switches for them."""

from collections.abc import Callable
from dataclasses import dataclass

from daemon.domain.messages import JsonObject
from daemon.sandbox.asgi import Answer, Receive, Send, cut_connection, error_answer, send_answer
from daemon.sandbox.channel import Channel
from daemon.sandbox.ledger import Journal


@dataclass(frozen=True, slots=True)
class FaultReply:
    """The result for a client: an answer, or a closed connection."""

    answer: Answer | None

    async def send(self, _receive: Receive, send: Send) -> None:
        """Send it, or cut the connection."""
        await (cut_connection(send) if self.answer is None else send_answer(send, self.answer))


@dataclass(eq=False)
class Fault:
    """A fault of all calls of an operation (``*``: of any)."""

    operation: str
    kind: str
    """``status`` refuses a call with 503; ``drop_after`` does it and cuts the connection before the
    answer; ``failed``, for the operation ``delivery`` alone, lets WhatsApp not deliver a message.
    """

    def meets(self, operation: str, chat: str, fields: JsonObject) -> bool:  # noqa: ARG002
        """Return whether a call of this operation about this chat, with these fields, meets it."""
        anything = self.operation == "*" and operation != "delivery"
        return anything or self.operation == operation

    async def refuse(self, receive: Receive) -> FaultReply | None:  # noqa: ARG002 - see the tests'
        """Return the reply to a call that shall not be done; None if it shall."""
        return (
            FaultReply(error_answer(503, "Service Unavailable")) if self.kind == "status" else None
        )

    async def spoil(self, answer: Answer, receive: Receive) -> FaultReply:  # noqa: ARG002
        """Return what the client gets of the answer to a call that was done."""
        return FaultReply(None if self.kind == "drop_after" else answer)


class Faults:
    """The faults that calls meet now, the oldest first."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def put(self, fault: Fault) -> None:
        """Let calls meet a fault from now on."""
        if fault not in self._faults:
            self._faults.append(fault)

    def remove(self, fault: Fault) -> None:
        """Forget a fault."""
        if fault in self._faults:
            self._faults.remove(fault)

    def take(self, operation: str, chat: str, fields: JsonObject | None = None) -> Fault | None:
        """Return the fault that this call with these fields meets, if any."""
        return next((f for f in self._faults if f.meets(operation, chat, fields or {})), None)


@dataclass(slots=True)
class Switch:
    """A switch of the phone page, or, as a `button`, an action that happens once."""

    name: str
    turn: Callable[[bool], None]
    unavailable: str
    """Why it cannot be used here, as a key of the page's texts; empty if it can."""
    button: bool
    on: bool = False


class Controls:
    """The switches; the page gets every change."""

    def __init__(self, *, journal: Journal) -> None:
        self._journal = journal
        self._switches: dict[str, Switch] = {}

    def add(
        self,
        name: str,
        turn: Callable[[bool], None],
        *,
        unavailable: str = "",
        button: bool = False,
    ) -> None:
        """Add a switch; `turn` gets whether it is on, in the task that serves the page."""
        self._switches[name] = Switch(name, turn, unavailable, button)

    def set(self, name: str, *, on: bool) -> bool:
        """Turn a switch; return False if there is none or it cannot be used."""
        switch = self._switches.get(name)
        if switch is None or switch.unavailable:
            return False
        switch.on = on and not switch.button
        self._journal.write("control", {"controls": self.describe()})
        switch.turn(on)
        return True

    def describe(self) -> list[JsonObject]:
        """Return the switches as the page shows them."""
        return [
            {"name": s.name, "on": s.on, "button": s.button, "unavailable": s.unavailable}
            for s in self._switches.values()
        ]


def add_gateway_switches(
    controls: Controls, *, faults: Faults, channel: Channel, expire: Callable[[bool], None]
) -> None:
    """Add what can go wrong with Whapi; `expire` lets the token expire, or renews it."""

    def switch(operation: str, kind: str) -> Callable[[bool], None]:
        fault = Fault(operation, kind)
        return lambda on: faults.put(fault) if on else faults.remove(fault)

    controls.add("whapi_down", switch("*", "status"))
    controls.add("answer_lost", switch("send", "drop_after"))
    controls.add("not_delivered", switch("delivery", "failed"))
    controls.add("token_expired", expire)
    controls.add("needs_qr", lambda on: channel.change("QR" if on else "AUTH"))
