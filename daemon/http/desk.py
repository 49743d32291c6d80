"""What the dashboard's pages of conversations and work ask of the daemon, and tell it.

Chats are named by `ref`, which tells nothing; numbers in what is given are masked, words are not.
Times are Unix seconds. Verbs raise StoreUnavailable; those that give None know no such chat.
"""

from pathlib import Path
from typing import Literal, Protocol

from daemon.domain.audit_chain import Actor
from daemon.domain.messages import JsonObject

ActionResult = Literal["done", "unknown", "refused"]
"""What became of a verb: `unknown` is a chat or run that is not there."""


class Desk(Protocol):
    """Conversations, as the people of the business read them and take part in them."""

    async def chats(self, *, query: str, state: str, before: str, limit: int) -> JsonObject:
        """Return one page of the list: `chats`, `next` (empty at the end) and `states`.

        `states` counts the chats in each state but ``idle``.
        """

    async def chat(self, ref: str) -> JsonObject | None:
        """Return one chat as the list has it, with its `labels` (None if nobody can say)."""

    async def bubbles(self, ref: str, *, before: str, limit: int) -> JsonObject | None:
        """Return `bubbles`, oldest first, and `next`, which asks for those before them."""

    async def turns(self, ref: str, *, limit: int) -> list[JsonObject] | None:
        """Return the last turns, newest first; `turn` is the name of each in the log."""

    async def story(self, ref: str, turn: str) -> JsonObject | None:
        """Return everything the ledger has about a turn of a chat."""

    async def ref_of_turn(self, turn: str) -> str:
        """Return the chat of a turn by its name in the log; empty if there is none."""

    async def file(self, name: str) -> tuple[Path, str] | None:
        """Return where a file of a message lies, and its MIME type; None if it is gone."""

    async def take_over(self, ref: str, minutes: float | None, *, by: Actor) -> bool:
        """Keep the bot out of a chat; `minutes` None takes the configured time."""

    async def give_back(self, ref: str, *, by: Actor) -> bool:
        """Let the bot answer in a chat again, also what waits there for a person."""

    async def done(self, ref: str, *, by: Actor) -> bool:
        """Count what waits for a person in a chat as handled."""

    async def say(self, ref: str, text: str, *, name: str, action: str, by: Actor) -> bool:
        """Let the agent `name` say something; it is in the outbox on return.

        `action` is the browser's own name of this click: a second one of that name does nothing.
        """

    async def label(
        self, ref: str, *, add: tuple[str, ...], remove: tuple[str, ...], by: Actor
    ) -> str | None:
        """Change the chat's labels; return what is wrong, empty if nothing is."""

    async def forget(self, ref: str, *, by: Actor) -> str | None:
        """Erase the person of a chat for good; return in numbers what was erased."""


class Workbench(Protocol):
    """What is under way, what waits, and what went wrong."""

    async def work(self) -> JsonObject:
        """Return everything that the page of work shows."""

    async def cancel_run(self, ref: str, *, by: Actor) -> bool:
        """Cancel the run of a chat; it begins again by itself. False if there is none."""

    async def replay_dead(self, ref: str, *, by: Actor) -> int:
        """Put the dead messages of a chat back in, or all of them if `ref` is empty."""

    async def send_again(self, number: int, *, by: Actor) -> str | None:
        """Let a refused message of ours be said once more; return why not, empty if it will be.

        None if there is no such send. `number` is the ``id`` that `work` and `Desk.bubbles` give.
        """

    async def drop_send(self, number: int, *, by: Actor) -> str | None:
        """Let a refused message of ours be, for good; as `send_again`."""

    async def replay_event(self, number: int, *, by: Actor) -> int | None:
        """Read a stored event anew; return how many messages were put back, None if unknown."""
