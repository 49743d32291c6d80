"""The operations of a running daemon: what the API and the dashboard do to it.

Handlers of HTTP requests call them in their own tasks. Each takes effect in the store first, with a
row in the audit, then in the task of the chat; of several nodes on the one that owns the chat's
number. All that wait raise StoreUnavailable, among it NotYetDone. Times are Unix seconds.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from copy import copy
from functools import partial
from pathlib import Path, PurePath

import trio

from daemon.conversation.intake import parse_again, share_files
from daemon.conversation.number_runtime import NumberRuntime
from daemon.conversation.numbers import Numbers
from daemon.conversation.opening import Process
from daemon.conversation.suggestion import suggestion
from daemon.domain.audit_chain import Action, Actor
from daemon.domain.eligibility import Policy
from daemon.domain.ids import chat_id, shown
from daemon.domain.messages import ChatKey, JsonObject
from daemon.domain.records import EVENTS_FOLDER, MEDIA_FOLDER
from daemon.domain.redaction import mask_numbers
from daemon.domain.rendering.opus import as_ogg
from daemon.domain.rendering.outgoing import reaction_part
from daemon.domain.rendering.templates import chosen, template_part
from daemon.domain.schedule import due_moment
from daemon.errors import (
    FilesUnavailable,
    GatewayError,
    MediaDelayed,
    NotYetDone,
    StoreUnavailable,
)
from daemon.ledger.admin.cli_queries import numbers_of_chat
from daemon.ledger.admin.person import names_of
from daemon.ledger.admin.replay import (
    Replayed,
    StoredEvent,
    replay_dead,
    replay_event,
    stored_event,
)
from daemon.ledger.files import AUDIO_FOLDER
from daemon.ledger.ledger import Store
from daemon.ledger.reminders import BY_OPERATOR, NewReminder
from daemon.ops.api_access import ApiAccess
from daemon.ops.daemon_state import DaemonState
from daemon.ops.live_log import LiveLog
from daemon.ops.maintenance.retention import Forgetter
from daemon.ops.operator_views import OperatorViews
from daemon.ops.outcomes import FiguresQuery, outcome_figures
from daemon.ops.passwords import Passwords
from daemon.ops.remote import Remote, by_owner
from daemon.ops.text_editor import TextChange, TextEditor

REMINDER_OBSTACLES = {
    "": "",
    "opted out": "the contact has opted out of unrequested messages",
    "too many": "too many reminders wait in this chat already",
}
"""Why a reminder is not added, in the words that the pages translate."""

OBSTACLES = {
    "": "",
    "not refused": "the message is not in the failed state any more",
    "paused": "a person has this chat; give it back to the bot first",
    "replayed": "its question was replayed and gets a new answer",
}
"""Why a message is not sent again, in the words that the pages translate."""


SOUNDS = {"audio/ogg": "ogg", "audio/mpeg": "mp3"}
"""Types of sound that are sent as voice notes, and their endings."""
RECORDING = ".weba"
"""The ending of a browser's recording: Opus in WebM."""
PICTURES = frozenset({"image/jpeg", "image/png", "image/webp"})
"""Types of pictures that WhatsApp shows."""

MOST_LOOKUPS = 2
"""Files that were sent and are looked for at once, for requests that need no sign-in."""


class Operations:
    """One object for the whole process. Made by the composer."""

    def __init__(
        self,
        data_dir: Path,
        process: Process,
        numbers: Numbers,
        *,
        state: DaemonState,
        views: OperatorViews,
        live_log: LiveLog,
        forgetter: Forgetter,
        api: ApiAccess,
        texts: TextEditor,
        remote: Remote | None = None,
    ) -> None:
        """``remote`` asks other nodes; None: this process owns all numbers."""
        self.remote = remote
        self.hold_now: Callable[[], Awaitable[None]] | None = None
        """Holds the chats whose rows are being erased; None: nobody asks for that."""
        self.state = state
        self.api = api
        self.views = views
        self.texts = texts
        self.live_log = live_log
        self.sessions = process.store.sessions
        self.accounts = process.store.accounts
        self.desk = process.store.desk
        self.desk_labels = process.store.desk_labels
        self.comparisons = process.store.comparisons
        self.passwords = Passwords()
        self.now = process.telemetry.now
        self._data_dir = data_dir
        self._store = self._process_store = process.store
        self.numbers = numbers
        self._chats = numbers
        self._engines = process.engines
        self._model_states = process.model_states
        self._forgetter = forgetter
        self._lookups = trio.CapacityLimiter(MOST_LOOKUPS)

    # -- the model server -------------------------------------------------------------------------

    def response_ended(self, response_id: str) -> None:
        """Pass on that a response has ended, as the model server reports."""
        for engine in self._engines:
            engine.notice(response_id)

    # -- chats -----------------------------------------------------------------------------------

    async def pause(self, chat: str | ChatKey, minutes: float | None, *, by: Actor) -> int:
        """Keep the bot out of a chat; without ``minutes`` for the configured time.

        ``chat`` is one chat, or a chat id with all of our numbers. Returns how many chats it is.
        """
        places = await self._places(chat)
        return sum([await self._pause(key, minutes, by=by) for key in places])

    @by_owner
    async def _pause(self, key: ChatKey, minutes: float | None, *, by: Actor) -> int:
        now, configured = self.now(), self._of(key).services.config.rules.pause_seconds
        until = now + (configured if minutes is None else minutes * 60)
        keys, taken = await self._store.operator_actions.pause(
            key.chat, until, channel=key.number or None, by=by, now=now
        )
        for paused in keys:
            self._chats.pause(paused, until)
        for paused in taken:
            self._of(paused).services.telemetry.metrics.takeovers.inc()
        return len(keys)

    async def _places(self, chat: str | ChatKey) -> list[ChatKey]:
        """A chat id with each of our numbers that knows it; without one, there is only one."""
        if isinstance(chat, ChatKey):
            return [chat]
        name = chat_id(chat)
        if len(self.numbers) == 1:
            return [ChatKey("", name)]
        found = await self._store.database.read(partial(numbers_of_chat, chat=name))
        return [ChatKey(number, name) for number in found]

    async def resume(self, chat: str | ChatKey, *, by: Actor) -> int:
        """Return a chat to the bot, which also answers waiting messages; like `pause`."""
        return sum([await self._resume(key, by=by) for key in await self._places(chat)])

    @by_owner
    async def _resume(self, key: ChatKey, *, by: Actor) -> int:
        now = self.now()
        keys = await self._store.operator_actions.give_back(
            key.chat, channel=key.number or None, by=by, now=now
        )
        for resumed in keys:
            self._chats.give_back(resumed, now)
        return len(keys)

    async def done(self, chat: str | ChatKey, *, by: Actor) -> tuple[int, int]:
        """Count what waits for a person in a chat as handled; like `pause`.

        Also returns how many messages were closed.
        """
        counts = [await self._done(key, by=by) for key in await self._places(chat)]
        return sum(chats for chats, _ in counts), sum(closed for _, closed in counts)

    @by_owner
    async def _done(self, key: ChatKey, *, by: Actor) -> tuple[int, int]:
        keys, closed = await self._store.operator_actions.done(
            key.chat, channel=key.number or None, by=by, now=self.now()
        )
        for handled in keys:
            self._chats.wake(handled)
        return len(keys), closed

    @by_owner
    async def send(
        self,
        key: ChatKey,
        text: str,
        *,
        agent: str,
        action: str,
        by: Actor,
        payload: JsonObject | None = None,
        quoted: str = "",
        kind: str = "text",
    ) -> int:
        """Send a message of an agent; it is in the outbox on return, as the row that is returned.

        ``action`` is the client's id of the click: a second one with the same id does nothing.
        ``payload``, ``kind``: see `daemon.ledger.operator_actions.OperatorActions.send`.
        ``quoted``: the id of the message that it answers.
        """
        now, pause = self.now(), self._of(key).services.config.rules.pause_seconds
        row_id, arrival = await self._store.operator_actions.send(
            key,
            text,
            name=agent,
            action=action,
            by=by,
            now=now,
            pause_until=now + pause if pause else 0,
            payload=payload,
            quoted=quoted,
            kind=kind,
        )
        if arrival is not None:
            if pause:
                self._of(key).services.telemetry.metrics.takeovers.inc()
            self._chats.poke(arrival)
            self._chats.wake(key)
        return row_id

    @by_owner
    async def suggest(self, key: ChatKey) -> str:
        """Return what the model would write next in a chat; empty if it gives nothing in time."""
        return await suggestion(key, self._of(key).services)

    async def send_file(
        self,
        key: ChatKey,
        data: bytes,
        *,
        name: str,
        mime_type: str,
        caption: str,
        agent: str,
        action: str,
        by: Actor,
    ) -> int:
        """Send a file as a message of an agent; return its row in the outbox.

        A picture is sent as one, OGG, MP3 and a browser's recording as a voice note, all else as a
        document. Raises OSError.
        """
        if name.lower().endswith(RECORDING):
            ogg = await trio.to_thread.run_sync(as_ogg, data)
            if ogg:
                data, mime_type, name = ogg, "audio/ogg", f"{name[: -len(RECORDING)]}.ogg"
        files, ending = self._store.files, SOUNDS.get(mime_type, "")
        kind = "voice" if ending else "image" if mime_type in PICTURES else "document"
        stored = await files.keep_bytes(data, ending or PurePath(name).suffix.lower().lstrip("."))
        payload = {"file": stored, "mime_type": mime_type, "filename": name}
        return await self.send(
            key, caption, agent=agent, action=action, by=by, payload=payload, kind=kind
        )

    @by_owner
    async def react(self, key: ChatKey, target: str, emoji: str, *, action: str, by: Actor) -> str:
        """React to a message in a chat; return what is wrong, empty if nothing is."""
        try:
            part = reaction_part(emoji, target)
        except ValueError as error:
            return str(error)
        actions = self._store.operator_actions
        await actions.react(key, part, action=action, by=by, now=self.now())
        self._chats.wake(key)
        return ""

    async def send_template(
        self,
        key: ChatKey,
        name: str,
        values: Mapping[str, str],
        *,
        language: str,
        agent: str,
        action: str,
        by: Actor,
    ) -> tuple[int, str]:
        """Send a template as a message of an agent; return its row in the outbox, or why not."""
        known = await self._store.templates.of_number(key.number)
        ours = self._of(key).services.config.rules.language
        try:
            part = template_part(chosen(known, name, language=language, ours=ours), values)
        except ValueError as error:
            return 0, str(error)
        payload = dict(part.payload)
        sent = await self.send(key, part.body, agent=agent, action=action, by=by, payload=payload)
        return sent, ""

    @by_owner
    async def label(
        self, key: ChatKey, *, add: tuple[str, ...], remove: tuple[str, ...], by: Actor
    ) -> str:
        """Change a chat's labels; return what is wrong, empty if nothing is."""
        number = self._of(key).services.number
        try:
            fault = await number.labels.change(key, add=add, remove=remove)
        except GatewayError as error:
            return mask_numbers(str(error))
        number.chat_info.forget(key)
        if not fault:
            await self.audit(
                by, "label", key.chat, after=f"{len(add)} added, {len(remove)} removed"
            )
        return fault

    @by_owner
    async def set_consent(self, key: ChatKey, *, opted_out: bool, by: Actor) -> None:
        """Note whether a contact wants no unrequested messages."""
        actions = self._store.operator_actions
        await actions.set_consent(key, opted_out=opted_out, by=by, now=self.now())

    async def edit_text(self, number: str, name: str, change: TextChange, *, by: Actor) -> str:
        """Put another version of a text to work; return what is wrong, empty if nothing is.

        On return it is at work, also on the node that owns the number. Raises EditConflict if
        somebody else has saved one meanwhile.
        """
        fault = await self.texts.save(number, name, change, by=by, now=self.now())
        if not fault and not self.numbers.serves(number):
            with suppress(NotYetDone):  # whoever comes to own it looks first
                await self.renew_texts(ChatKey(number, ""))
        return fault

    @by_owner
    async def renew_texts(self, key: ChatKey) -> None:  # noqa: ARG002 - its number
        """Put in force what was edited on another node."""
        await self.texts.renew()

    async def forget(self, key: ChatKey, *, by: Actor) -> str:
        """Erase the person of a chat; return in numbers what was erased."""
        names = await self._store.database.read(partial(names_of, chat=key.chat))
        done = await self._forgetter.forget(names, by=by)
        for number in self.numbers:
            for name in names:
                number.services.number.chat_info.forget(ChatKey(number.name, name))
        return done.summary()

    @by_owner
    async def hold_chats(self, key: ChatKey) -> None:  # noqa: ARG002 - its number
        """Hold the chats of a number whose rows are being erased; they are on return."""
        if self.hold_now is not None:
            await self.hold_now()

    async def reveal(self, ref: str, *, by: Actor) -> str:
        """Return the number (or group id) of a chat; empty if it is not known."""
        chat = await self._store.dashboard_log.chat_of(ref)
        if chat:
            await self.audit(by, "reveal", chat)
        return shown(chat)

    def over(self, store: Store) -> "Operations":
        """The same, over another way into the ledger."""
        other = copy(self)
        other._store = store  # noqa: SLF001 - its own
        return other

    def store_of(self, number: str) -> Store:
        """The ledger for those who write for a number; empty: for all, where this process may."""
        one = self.numbers.get(number)
        return one.services.store if one else self._process_store

    def _of(self, key: ChatKey) -> NumberRuntime:
        """The number of a chat; of one that is not configured any more, the first."""
        return self.numbers.get(key.number) or self.numbers.first

    def _policy(self, number: str) -> Policy:
        return self._of(ChatKey(number, "")).services.config.rules.policy

    # -- turns, messages and sends ---------------------------------------------------------------

    @by_owner
    async def release(self, key: ChatKey, *, by: Actor) -> bool:
        """Cancel the run of a chat, which then begins again. False if there is none."""
        if not self._chats.release(key):
            return False
        await self.audit(by, "cancel run", key.chat)
        return True

    async def release_all(self, *, by: Actor) -> int:
        """Cancel all runs, and try channel and model again at once. Returns how many runs."""
        for state in self._model_states:
            state.try_now()
        cleared, later = [self.numbers.retry_now()], list[NotYetDone]()

        async def elsewhere(number: str) -> None:
            try:
                cleared.append(await self._release_number(ChatKey(number, "")))
            except NotYetDone as error:
                later.append(error)

        async with trio.open_nursery() as nursery:
            for name in self.numbers.names:
                if not self.numbers.serves(name):
                    nursery.start_soon(elsewhere, name, name=f"runs of {name}")
        await self.audit(by, "clear locks", after=f"{sum(cleared)} cleared")
        if later:
            raise later[0]
        return sum(cleared)

    @by_owner
    async def _release_number(self, key: ChatKey) -> int:
        for state in self._model_states:
            state.try_now()
        return self._of(key).retry_now()

    async def replay_dead(self, key: ChatKey | None, *, by: Actor) -> int:
        """Put the dead messages of a chat back in, or all; return how many.

        The chat looks at once. The others are found by the sweep.
        """
        places = [key] if key else [ChatKey("", "")]
        if key is None and self.remote is not None:
            places = [ChatKey(name, "") for name in self.numbers.names]
        return sum([await self._replay_dead(place, by=by) for place in places])

    @by_owner
    async def _replay_dead(self, key: ChatKey, *, by: Actor) -> int:
        chats = (key.chat,) if key.chat else ()
        replay = partial(
            replay_dead,
            chats=chats,
            number=key.number,
            policies=self._policy,
            by=by,
            now=self.now(),
        )
        replayed = await self._store.writes.write(replay)
        if key.chat and _count(replayed):
            self._chats.wake(key)
        return _count(replayed)

    async def replay_event(self, number: int, *, by: Actor) -> int | None:
        """Put the messages of a stored event back in; return how many, None if it is not known."""
        event = await self._event(number)
        if event is None:
            return None
        return await self._replay_event(ChatKey(event.number, ""), number, by=by)

    async def _event(self, number: int) -> StoredEvent | None:
        find = partial(stored_event, event_id=number, folder=self._data_dir / EVENTS_FOLDER)
        return await self._store.database.read(find)

    @by_owner
    async def _replay_event(self, key: ChatKey, number: int, *, by: Actor) -> int | None:
        event = await self._event(number)
        if event is None:
            return None
        parse = partial(
            parse_again,
            event,
            parse=self._of(key).services.number.gateway.parse_webhook,
            media=self._data_dir / MEDIA_FOLDER,
        )
        try:
            webhook, _ = await trio.to_thread.run_sync(parse)
            await share_files(webhook.messages if webhook else (), self._store.file_store)
        except (MediaDelayed, FilesUnavailable) as error:
            raise StoreUnavailable(str(error)) from error
        put_back = partial(
            replay_event, event=event, webhook=webhook, policies=self._policy, by=by, now=self.now()
        )
        return _count(await self._store.writes.write(put_back))

    async def sent_file(self, name: str) -> Path | None:
        """The path of a file that was sent; None if there is none of this name any more.

        Anybody may ask, so that few looks into an object store are made at once. Raises OSError.
        """
        files = self._store.file_store
        async with self._lookups:
            found = await files.fetch(AUDIO_FOLDER, name)
        return files.path(AUDIO_FOLDER, name) if found else None

    async def send_again(self, number: int, *, by: Actor) -> str | None:
        """Send a failed message once more; return why not, empty if it will be.

        None if it is not known. ``number`` is the id of its row in the outbox.
        """
        key = await self._store.operator_actions.chat_of_send(number)
        return await self._send_again(key, number, by=by) if key else None

    @by_owner
    async def _send_again(self, key: ChatKey, number: int, *, by: Actor) -> str | None:
        obstacle, known = await self._store.operator_actions.send_again(
            number,
            agents_chats={one.services.config.rules.escalation.chat for one in self.numbers},
            by=by,
            now=self.now(),
        )
        if known is not None and not obstacle:
            self._chats.wake(key)
        return OBSTACLES.get(obstacle)

    async def drop_send(self, number: int, *, by: Actor) -> str | None:
        """Drop a failed message for good; like `send_again`."""
        key = await self._store.operator_actions.chat_of_send(number)
        return await self._drop_send(key, number, by=by) if key else None

    @by_owner
    async def _drop_send(self, key: ChatKey, number: int, *, by: Actor) -> str | None:  # noqa: ARG002
        actions = self._store.operator_actions
        return OBSTACLES.get(await actions.drop_send(number, by=by, now=self.now()))

    @by_owner
    async def remind(
        self,
        key: ChatKey,
        when: str,
        text: str,
        *,
        cancel_on: Sequence[str] = (),
        is_note: bool = False,
        action: str,
        by: Actor,
    ) -> tuple[int, str]:
        """Have a text sent in a chat at a time (ISO 8601); return its number, or what is wrong.

        ``cancel_on``: ``reply`` and ``agent`` end it before. ``is_note``: the text is for the
        model, which writes the message at that time. ``action``: see `send`.
        """
        rules, now = self._of(key).services.config.rules, self.now()
        try:
            due_at = due_moment(when, rules.zone, now=now)
        except ValueError as error:
            return 0, str(error)
        number, obstacle = await self._store.reminders.add(
            key,
            NewReminder(text=text, due_at=due_at, cancel_on=tuple(cancel_on), is_note=is_note),
            name=f"click {action}",
            most=rules.reminders.most_waiting,
            by=by,
            now=now,
        )
        return number, REMINDER_OBSTACLES[obstacle]

    @by_owner
    async def cancel_reminder(self, key: ChatKey, number: int, *, by: Actor) -> bool:
        """Cancel a reminder or follow-up of a chat; False if none of that number waits."""
        cancel = self._store.reminders.cancel
        return await cancel(number, BY_OPERATOR, key=key, by=by, now=self.now())

    async def replay_webhooks(self, ids: Sequence[int], *, endpoint: str, by: Actor) -> int:
        """Deliver outgoing webhooks again that were given up; return how many.

        ``endpoint``: all of this one in place of ``ids``; ``*``: all of all.
        """
        # Of no number: what a sender does with a delivery, it does in a state of it.
        webhooks = self._store.webhooks.over(self._store.database.of())
        return await webhooks.replay(ids, endpoint=endpoint, by=by, now=self.now())

    async def outcomes(self, query: FiguresQuery) -> JsonObject:
        """Return what came of customers' enquiries; see `daemon.ops.outcomes`."""
        return await outcome_figures(self._store.enquiries, query)

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


def _count(replayed: Sequence[Replayed]) -> int:
    return sum(one.done for one in replayed)
