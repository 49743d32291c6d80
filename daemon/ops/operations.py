"""The operations of a running daemon: what the API and the dashboard do to it.

Handlers of HTTP requests call them in their own tasks. Each takes effect in the store first, with a
row in the audit, then in the task of the chat. All that wait raise StoreUnavailable. Times are Unix
seconds.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import trio

from daemon.conversation.number_runtime import NumberRuntime
from daemon.conversation.opening import Process
from daemon.domain.audit_chain import Action, Actor
from daemon.domain.ids import chat_id, shown
from daemon.domain.messages import ChatKey
from daemon.domain.records import EVENTS_FOLDER, MEDIA_FOLDER
from daemon.domain.redaction import mask_numbers
from daemon.errors import GatewayError, MediaDelayed, StoreUnavailable
from daemon.gateway.port import Headers
from daemon.ledger.admin.person import names_of
from daemon.ledger.admin.replay import Replayed, replay_dead, replay_event, stored_event
from daemon.ops.daemon_state import DaemonState
from daemon.ops.live_log import LiveLog
from daemon.ops.maintenance.retention import Forgetter
from daemon.ops.operator_views import OperatorViews
from daemon.ops.replay import parse_again

OBSTACLES = {
    "": "",
    "not refused": "the message is not in the failed state any more",
    "paused": "a person has this chat; give it back to the bot first",
    "replayed": "its question was replayed and gets a new answer",
}
"""Why a message is not sent again, in the words that the pages translate."""


class Operations:
    """One object for the whole process. Made by the composer."""

    def __init__(
        self,
        data_dir: Path,
        process: Process,
        number: NumberRuntime,
        *,
        state: DaemonState,
        views: OperatorViews,
        live_log: LiveLog,
        forgetter: Forgetter,
    ) -> None:
        self.state = state
        self.views = views
        self.live_log = live_log
        self.sessions = process.store.sessions
        self.now = process.telemetry.now
        self._data_dir = data_dir
        self._store = process.store
        self._number = number
        self._chats = number.chats
        self._engine = process.model.engine
        self._model_state = process.model.state
        self._chat_info = number.services.number.chat_info
        self._labels = number.services.number.labels
        self._config = number.services.config
        self._forgetter = forgetter

    # -- webhooks --------------------------------------------------------------------------------

    async def accept(self, body: bytes, path_event: str) -> None:
        """Store one webhook call durably and wake its chats.

        ``path_event`` is the event as URL and method name it (``messages.post``), empty if they do
        not. Also raises WebhookError if the body cannot be read. Calls in flight are stored even
        during the stop: the store closes after HTTP.
        """
        await self._number.intake.accept(body, path_event)

    @property
    def takes_signed_webhooks(self) -> bool:
        """Whether a signature proves that a webhook call is the gateway's, and not a secret."""
        return self._number.kind.is_genuine is not None

    @property
    def answers_challenges(self) -> bool:
        """Whether the gateway asks, by GET, if its calls are wanted."""
        return self._number.kind.challenge is not None

    def is_genuine(self, headers: Headers, body: bytes) -> bool:
        """Whether the gateway has signed a webhook call; True if it does not sign calls."""
        return self._number.is_genuine(headers, body)

    def challenge(self, query: Mapping[str, str]) -> str | None:
        """The response that the gateway expects; None if it does not know the number's secret."""
        return self._number.challenge(query)

    def response_ended(self, response_id: str) -> None:
        """Pass on that a response has ended, as the model server reports."""
        self._engine.notice(response_id)

    # -- chats -----------------------------------------------------------------------------------

    async def pause(self, chat: str | ChatKey, minutes: float | None, *, by: Actor) -> int:
        """Keep the bot out of a chat; without ``minutes`` for the configured time.

        ``chat`` is one chat, or a number or chat id on all channels. Returns how many chats it is.
        """
        name, channel = _named(chat)
        pause_seconds = self._config.rules.pause_seconds
        now = self.now()
        until = now + (pause_seconds if minutes is None else minutes * 60)
        actions = self._store.operator_actions
        keys = await actions.pause(name, until, channel=channel, by=by, now=now)
        for key in keys:
            self._chats.pause(key, until)
        return len(keys)

    async def resume(self, chat: str | ChatKey, *, by: Actor) -> int:
        """Give a chat back to the bot, which also answers what waits there; like `pause`."""
        name, channel = _named(chat)
        now, actions = self.now(), self._store.operator_actions
        keys = await actions.give_back(name, channel=channel, by=by, now=now)
        for key in keys:
            self._chats.give_back(key, now)
        return len(keys)

    async def done(self, chat: str | ChatKey, *, by: Actor) -> tuple[int, int]:
        """Count what waits for a person in a chat as handled; like `pause`.

        Also returns how many messages were closed.
        """
        name, channel = _named(chat)
        actions = self._store.operator_actions
        keys, closed = await actions.done(name, channel=channel, by=by, now=self.now())
        for key in keys:
            self._chats.wake(key)
        return len(keys), closed

    async def send(self, key: ChatKey, text: str, *, agent: str, action: str, by: Actor) -> None:
        """Send a message of an agent; it is in the outbox on return.

        ``action`` is the browser's id of the click: a second one with the same id does nothing.
        """
        now, pause = self.now(), self._config.rules.pause_seconds
        arrival = await self._store.operator_actions.say(
            key,
            text,
            name=agent,
            action=action,
            by=by,
            now=now,
            pause_until=now + pause if pause else 0,
        )
        if arrival is not None:
            self._chats.poke(arrival)
            self._chats.wake(key)

    async def label(
        self, key: ChatKey, *, add: tuple[str, ...], remove: tuple[str, ...], by: Actor
    ) -> str:
        """Change a chat's labels; return what is wrong, empty if nothing is."""
        try:
            fault = await self._labels.change(key, add=add, remove=remove)
        except GatewayError as error:
            return mask_numbers(str(error))
        self._chat_info.forget(key)
        if not fault:
            await self.audit(
                by, "label", key.chat, after=f"{len(add)} added, {len(remove)} removed"
            )
        return fault

    async def forget(self, key: ChatKey, *, by: Actor) -> str:
        """Erase the person of a chat; return in numbers what was erased."""
        names = await self._store.database.read(partial(names_of, chat=key.chat))
        done = await self._forgetter.forget(names, by=by)
        self._chat_info.forget(key)
        return done.summary()

    async def reveal(self, ref: str, *, by: Actor) -> str:
        """Return the number (or group id) of a chat; empty if it is not known."""
        chat = await self._store.dashboard_log.chat_of(ref)
        if chat:
            await self.audit(by, "reveal", chat)
        return shown(chat)

    # -- turns, messages and sends ---------------------------------------------------------------

    async def release(self, key: ChatKey, *, by: Actor) -> bool:
        """Cancel the run of a chat, which then begins again. False if there is none."""
        if not self._chats.release(key):
            return False
        await self.audit(by, "cancel run", key.chat)
        return True

    async def release_all(self, *, by: Actor) -> int:
        """Cancel all runs, and try channel and model again at once. Returns how many runs."""
        self._model_state.try_now()
        cleared = self._number.retry_now()
        await self.audit(by, "clear locks", after=f"{cleared} cleared")
        return cleared

    async def replay_dead(self, key: ChatKey | None, *, by: Actor) -> int:
        """Put the dead messages of a chat back in, or all; return how many.

        The chat looks at once. The others are found by the sweep.
        """
        policy = self._config.rules.policy
        chats = (key.chat,) if key else ()
        replayed = await self._store.database.write(
            partial(replay_dead, chats=chats, policy=policy, by=by, now=self.now())
        )
        if key and _count(replayed):
            self._chats.wake(key)
        return _count(replayed)

    async def replay_event(self, number: int, *, by: Actor) -> int | None:
        """Put the messages of a stored event back in; return how many, None if it is not known."""
        database = self._store.database
        events = self._data_dir / EVENTS_FOLDER
        find = partial(stored_event, event_id=number, folder=events)
        event = await database.read(find)
        if event is None:
            return None
        parse = partial(
            parse_again,
            event,
            parse=self._number.services.number.gateway.parse_webhook,
            media=self._data_dir / MEDIA_FOLDER,
        )
        try:
            webhook, _ = await trio.to_thread.run_sync(parse)
        except MediaDelayed as error:
            raise StoreUnavailable(str(error)) from error
        policy = self._config.rules.policy
        put_back = partial(
            replay_event, event=event, webhook=webhook, policy=policy, by=by, now=self.now()
        )
        return _count(await database.write(put_back))

    async def send_again(self, number: int, *, by: Actor) -> str | None:
        """Send a failed message once more; return why not, empty if it will be.

        None if it is not known. ``number`` is the id of its row in the outbox.
        """
        obstacle, key = await self._store.operator_actions.send_again(
            number,
            agents_chat=self._config.rules.escalation.chat,
            by=by,
            now=self.now(),
        )
        if key is not None and not obstacle:
            self._chats.wake(key)
        return OBSTACLES.get(obstacle)

    async def drop_send(self, number: int, *, by: Actor) -> str | None:
        """Give up a failed message for good; like `send_again`."""
        actions = self._store.operator_actions
        return OBSTACLES.get(await actions.drop_send(number, by=by, now=self.now()))

    async def audit(
        self, by: Actor, action: Action, subject: str = "", *, before: str = "", after: str = ""
    ) -> None:
        """Write down who did what; durable on return.

        ``subject`` is a chat, a message or a file, never a text or a secret; see
        `daemon.domain.audit_chain`.
        """
        await self._store.audit.write(
            by, action, subject, before=before, after=after, now=self.now()
        )


def _named(chat: str | ChatKey) -> tuple[str, str | None]:
    """The chat id, and the channel if it is one chat."""
    return (chat.chat, chat.number) if isinstance(chat, ChatKey) else (chat_id(chat), None)


def _count(replayed: Sequence[Replayed]) -> int:
    return sum(one.done for one in replayed)
