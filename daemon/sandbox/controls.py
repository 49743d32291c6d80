"""The switches by which somebody at the phone page makes things go wrong, and right again."""

from collections.abc import Callable
from dataclasses import dataclass

from daemon.domain.messages import JsonObject
from daemon.sandbox.channel import Channel
from daemon.sandbox.faults import Fault, FaultKind, Faults
from daemon.sandbox.journal import Journal


@dataclass(slots=True)
class Switch:
    """One thing that can be turned on and off, or, as a `button`, done once."""

    name: str
    turn: Callable[[bool], None]
    unavailable: str
    """Why it cannot be used here, as a key of the page's texts; empty if it can."""
    button: bool
    on: bool = False


class Controls:
    """The switches there are; the page is told of every change."""

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
        """Add a switch; `turn` is told whether it is on, in the task that serves the page."""
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
        """Return the switches as the page is told of them."""
        return [
            {"name": s.name, "on": s.on, "button": s.button, "unavailable": s.unavailable}
            for s in self._switches.values()
        ]


def add_gateway_switches(
    controls: Controls, *, faults: Faults, channel: Channel, expire: Callable[[bool], None]
) -> None:
    """Add what can go wrong with Whapi; `expire` lets the token expire, or renews it."""

    def fault_switch(operation: str, kind: FaultKind) -> Callable[[bool], None]:
        made: list[Fault] = []

        def turn(on: bool) -> None:  # noqa: FBT001 - a switch's position
            while made:
                faults.remove(made.pop())
            if on:
                made.append(faults.add(operation=operation, kind=kind, times=-1, status=503))

        return turn

    controls.add("whapi_down", fault_switch("*", "status"))
    controls.add("answer_lost", fault_switch("send", "drop_after"))
    controls.add("not_delivered", fault_switch("delivery", "failed"))
    controls.add("token_expired", expire)
    controls.add("needs_qr", lambda on: channel.change("QR" if on else "AUTH"))
