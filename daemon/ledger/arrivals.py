"""Taking the messages of one webhook call into the ledger, inside one write."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from daemon.domain.eligibility import NOTED
from daemon.domain.ids import is_alias
from daemon.domain.messages import ChangeOrigin, ChatKey, Deletion, Edit, Message, Webhook
from daemon.domain.prompt.message_text import without_words
from daemon.domain.records import Accepted, Arrival, ArrivalKind, DeliveryUpdate
from daemon.domain.rendering.outgoing import Likeness, likeness, likeness_of
from daemon.domain.states import IGNORED, RECEIVED, SENDING, SENT, UNKNOWN
from daemon.domain.transitions.sends import (
    ECHO,
    InFlight,
    may_echo,
    own_message,
    settled_by,
    written_at,
)
from daemon.ledger import announcements
from daemon.ledger.announcements import SUBSCRIBED
from daemon.ledger.changes import apply_early_changes, change_message
from daemon.ledger.drivers.port import Connection
from daemon.ledger.handover import agent_wrote, hold_waiting
from daemon.ledger.media import want_file, without_bytes
from daemon.ledger.messages import drop_raw_event, message_json, target_disappears, to_disappear
from daemon.ledger.outbox import OPEN_ROWS, read_payload
from daemon.ledger.people import canonical, follow, join, recall, shown_pair
from daemon.ledger.references import learn_own_id
from daemon.ledger.statuses import NEVER, Tariff, claim_early, note_status
from daemon.ledger.threads import note_sign

ECHO_SECONDS = 600
"""How long an echo under another id is still recognised by its likeness."""

BEFORE_FORGOTTEN = "sent before its person was forgotten"


@dataclass(slots=True)
class IntakeContext:
    """One webhook call while it is written: its circumstances, and what it brought."""

    event_id: int
    now: float
    pause_until: float
    resend_since: float
    """Sends created earlier are not sent again if WhatsApp could not deliver them."""
    contact: bytes
    """The key of the hashes of contacts; empty: no contact is recognised as forgotten."""
    agents_close: bool
    """True if an agent's message answers what customers wrote before it."""
    announces: bool = True
    """False for words that are still to be sent: they are announced then."""
    arrivals: list[Arrival] = field(default_factory=list)
    stored: int = 0
    duplicates: int = 0
    echoed: list[ChatKey] = field(default_factory=list)
    delivery_updates: list[DeliveryUpdate] = field(default_factory=list)

    def note(self, *arrivals: Arrival | None) -> None:
        """Add what changes mean for their chats, if anything."""
        self.arrivals += filter(None, arrivals)


def take_in(
    connection: Connection,
    webhook: Webhook,
    event_id: int,
    *,
    verdicts: Sequence[str],
    now: float,
    pause_until: float,
    resend_since: float = NEVER,
    agents_close: bool = True,
    announces: bool = True,
    contact: bytes = b"",
    tariff: Tariff | None = None,
) -> Accepted:
    """Store what a webhook call says, inside the caller's transaction; see `Inbox.accept`.

    ``event_id`` is its row in ``events``, which is there already. ``agents_close``: an agent's
    message answers what customers wrote before it. ``announces``: see `IntakeContext`. ``contact``
    is the key of contacts' hashes.
    """
    context = IntakeContext(
        event_id=event_id,
        now=now,
        pause_until=pause_until,
        resend_since=resend_since,
        agents_close=agents_close,
        announces=announces,
        contact=contact,
    )
    for identity in webhook.identity_changes:
        follow(connection, identity, now=now)
    for message, verdict in zip(webhook.messages, verdicts, strict=True):
        _take(connection, _of_one_person(connection, message, now), verdict, context)
    changes: tuple[Edit | Deletion, ...] = (*webhook.edits, *webhook.deletions)
    for change in changes:
        if isinstance(change, Edit) and target_disappears(connection, webhook.channel, change):
            drop_raw_event(connection, event_id)
        context.note(change_message(connection, webhook.channel, change, context.now))
    for status in webhook.statuses:
        delivery_update = note_status(
            connection,
            webhook.channel,
            status,
            now=now,
            resend_since=resend_since,
            tariff=tariff,
        )
        if delivery_update is not None:
            context.delivery_updates.append(delivery_update)
    return Accepted(
        event_id=event_id,
        arrivals=tuple(context.arrivals),
        stored=context.stored,
        duplicates=context.duplicates,
        echoed=tuple(context.echoed),
        verdicts=tuple(verdicts),
        delivery_updates=tuple(context.delivery_updates),
    )


def insert_event(
    connection: Connection, webhook: Webhook, body: bytes, body_file: str, now: float
) -> int:
    """Store one webhook call as it came; gives its id."""
    row = connection.execute(
        "INSERT INTO events (received_at, channel, event, body, body_file, unreadable)"
        " VALUES (?, ?, ?, ?, ?, ?) RETURNING id",
        (
            now,
            webhook.channel,
            webhook.event,
            None if body_file else body,
            body_file,
            "\n".join(webhook.unreadable),
        ),
    ).fetchone()
    return int(row[0])


def _of_one_person(connection: Connection, message: Message, now: float) -> Message:
    """The message in the canonical chat of its person, whichever id WhatsApp has used."""
    if message.alias:
        alias = ChatKey(message.key.number, message.alias)
        join(connection, alias, message.key.chat, now=now)
        # Itself, while its task is at work: the message belongs where the conversation is.
        return msgspec.structs.replace(message, key=canonical(connection, alias))
    if not is_alias(message.key.chat):
        return message
    phone_chat = shown_pair(message)
    if phone_chat:
        join(connection, message.key, phone_chat, now=now)
    return msgspec.structs.replace(message, key=canonical(connection, message.key))


def _take(connection: Connection, message: Message, verdict: str, context: IntakeContext) -> None:
    """Store one message if it is new, and return its effect on the chat."""
    reason, agent = verdict, False
    if message.from_me:
        if _is_repeated(connection, message):
            _note_repetition(connection, message, context)
            return
        reason, agent = _judge_own(connection, message, verdict, context)
    goes = bool(reason) and reason != ECHO and to_disappear(connection, message)
    stored = without_bytes(without_words(message) if goes else message)
    repetitions, is_awaited, is_paused, is_followed = _insert_message(
        connection, stored, reason, context
    )
    if repetitions:
        _note_repetition(connection, message, context)
        return
    context.stored += 1
    known_as = announcements.contact_names(connection, message.key) if is_followed else None
    if _is_forgotten(message, _note_chat(connection, message, context)):
        _keep_nothing(connection, stored, context)
        return
    if goes:
        drop_raw_event(connection, context.event_id)
    if verdict in NOTED and not message.from_me:
        note_sign(connection, message, context.now)
    if isinstance(message.content, Edit | Deletion):
        origin = ChangeOrigin(chat=message.key.chat, author=message.author, from_me=message.from_me)
        change = msgspec.structs.replace(message.content, origin=origin)
        context.note(change_message(connection, message.key.number, change, context.now))
    if not reason:
        kind = _kind(message, agent=agent, is_paused=is_paused)
        _announce(connection, stored, context, kind, known_as)
        if is_awaited:
            context.note(*apply_early_changes(connection, stored, context.now))


def _publish(connection: Connection, message: Message, known_as: Sequence[str], now: float) -> None:
    """Announce a new message, and its author if they are new or have another name."""
    announcements.message_stored(connection, message, agent=message.from_me, now=now)
    if message.from_me or message.is_group:
        return
    if not known_as:
        announcements.contact_changed(connection, message.key, "new", now=now)
    elif message.author_name not in {"", *known_as}:
        announcements.contact_changed(connection, message.key, "name", now=now)


def _kind(message: Message, *, agent: bool, is_paused: bool) -> ArrivalKind:
    if agent:
        return "agent"
    return "held" if is_paused and not message.from_me else "message"


def _announce(
    connection: Connection,
    message: Message,
    context: IntakeContext,
    what: ArrivalKind,
    known_as: Sequence[str] | None,
) -> None:
    """Let the chat of a new message know of it, and other systems.

    ``known_as``: see `announcements.contact_names`; None if no other system wants to know.
    """
    if known_as is not None and context.announces:
        _publish(connection, message, known_as, context.now)
    if what == "held":
        hold_waiting(connection, message.key, context.now)
    if not message.from_me:
        want_file(connection, message, context.now)
    if what == "agent" and context.agents_close:
        agent_wrote(connection, message.key, pause_until=context.pause_until, now=context.now)
    context.arrivals.append(
        Arrival(
            key=message.key,
            what=what,
            kind=message.kind,
            received_at=context.now,
        )
    )


def _judge_own(
    connection: Connection, message: Message, verdict: str, context: IntakeContext
) -> tuple[str, bool]:
    """Why a new message that left our number is ignored, and whether an agent wrote it."""
    learn_own_id(connection, message)
    is_echo = _is_echo(connection, message, context.now)
    reason, agent = own_message(message, is_echo=is_echo)
    if is_echo:
        context.echoed.append(message.key)
        context.delivery_updates += claim_early(
            connection, message.id, now=context.now, resend_since=context.resend_since
        )
    if agent and verdict:
        return verdict, False  # such as a story of the business: it has no addressee
    return reason, agent


def _is_repeated(connection: Connection, message: Message) -> bool:
    """Whether a message is stored already; counts that it has come again."""
    again = connection.execute(
        "UPDATE messages SET duplicates = duplicates + 1 WHERE channel = ? AND id = ?",
        (message.key.number, message.id),
    )
    return again.rowcount > 0


def _note_repetition(connection: Connection, message: Message, context: IntakeContext) -> None:
    context.duplicates += 1
    if message.disappears:
        drop_raw_event(connection, context.event_id)


def _insert_message(
    connection: Connection, message: Message, reason: str, context: IntakeContext
) -> tuple[int, bool, bool, bool]:
    """Store a message, or count that it has come again.

    Gives how often it has, if a change waits for it, if the bot keeps out of its chat, and if there
    are outgoing webhooks. It is one statement because each one releases and takes the interpreter
    lock.
    """
    repetitions, is_awaited, is_paused, is_followed = connection.execute(
        "INSERT INTO messages (channel, id, chat, event_id, kind, from_me, message, sent_at,"
        " received_at, state, reason) VALUES (:channel, :id, :chat, :event_id, :kind, :from_me,"
        " :message, :sent_at, :now, :state, :reason)"
        " ON CONFLICT (channel, id) DO UPDATE SET duplicates = messages.duplicates + 1"
        " RETURNING duplicates,"
        " EXISTS (SELECT 1 FROM early_changes e WHERE e.channel = :channel AND e.target = :id),"
        " EXISTS (SELECT 1 FROM chats c WHERE c.channel = :channel AND c.chat = :chat"
        f" AND c.paused_until > :now), {SUBSCRIBED}",
        {
            "channel": message.key.number,
            "id": message.id,
            "chat": message.key.chat,
            "event_id": context.event_id,
            "kind": message.kind,
            "from_me": int(message.from_me),
            "message": message_json.encode(message).decode(),
            "sent_at": message.sent_at,
            "now": context.now,
            "state": IGNORED if reason else RECEIVED,
            "reason": reason,
        },
    ).fetchone()
    return repetitions, bool(is_awaited), bool(is_paused), bool(is_followed)


def _is_forgotten(message: Message, forgotten_at: float) -> bool:
    """True for a late message from before its person was forgotten."""
    return not message.from_me and 0 < message.sent_at < int(forgotten_at)


def _keep_nothing(connection: Connection, message: Message, context: IntakeContext) -> None:
    """Keep of such a message only that it came."""
    connection.execute(
        "UPDATE messages SET state = ?, reason = ?, message = ? WHERE channel = ? AND id = ?",
        (
            IGNORED,
            BEFORE_FORGOTTEN,
            message_json.encode(without_words(message)).decode(),
            message.key.number,
            message.id,
        ),
    )
    drop_raw_event(connection, context.event_id)


def _note_chat(connection: Connection, message: Message, context: IntakeContext) -> float:
    """Store the chat and its names; only the customer's own messages name the customer.

    Gives when the person of this number was forgotten, Unix seconds; 0 for never.
    """
    now = context.now
    wrote_at = 0.0 if message.from_me else written_at(message.sent_at, now)
    contact = "" if message.from_me or message.is_group else message.author_name
    first_seen_at, forgotten_at = connection.execute(
        "INSERT INTO chats (channel, chat, name, contact_name, first_seen_at, last_activity_at,"
        " customer_wrote_at) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (channel, chat) DO UPDATE SET"
        " name = CASE excluded.name WHEN '' THEN chats.name ELSE excluded.name END,"
        " contact_name = CASE excluded.contact_name WHEN '' THEN chats.contact_name"
        " ELSE excluded.contact_name END, last_activity_at = excluded.last_activity_at,"
        " customer_wrote_at = CASE WHEN excluded.customer_wrote_at > chats.customer_wrote_at"
        " THEN excluded.customer_wrote_at ELSE chats.customer_wrote_at END"
        " RETURNING first_seen_at, forgotten_at",
        (*message.key, message.chat_name, contact, now, now, wrote_at),
    ).fetchone()
    if first_seen_at == now and context.contact:
        return recall(connection, context.contact, message.key)
    return float(forgotten_at)


# -- echoes ----------------------------------------------------------------------------------------


def _is_echo(connection: Connection, message: Message, now: float) -> bool:
    """Whether a message is a send of ours that comes back; settles that send."""
    by_id = connection.execute(
        "SELECT outbox_id FROM send_failures WHERE message_id = ?"
        " UNION ALL SELECT id FROM outbox WHERE message_id = ?",
        (message.id, message.id),
    )
    if by_id.fetchone():
        return True
    like = likeness_of(message)
    if not may_echo(message, like):
        return False
    if _is_expected_echo(connection, message.key, like, now):
        return True
    rows = connection.execute(
        "SELECT id, kind, body, payload FROM outbox WHERE channel IN (?, '') AND chat = ?"
        f" AND {OPEN_ROWS} AND state IN (?, ?) ORDER BY id",
        (*message.key, SENDING, UNKNOWN),
    )
    in_flight = [InFlight(row_id, _like(*row)) for row_id, *row in rows]
    settled = settled_by(like, in_flight)
    if settled is None:
        return False
    connection.execute(
        "UPDATE outbox SET state = ?, message_id = ?, sent_at = ?, error = '' WHERE id = ?",
        (SENT, message.id, now, settled),
    )
    announcements.message_sent(connection, settled, now=now)
    return True


def _is_expected_echo(connection: Connection, key: ChatKey, like: Likeness, now: float) -> bool:
    """True if a send like this that was answered has had no echo yet: this is it.

    It comes under another id than the answer gave. These sends are looked at before those in
    flight, so that an echo does not settle a later send of the same words.
    """
    rows = connection.execute(
        "SELECT o.kind, o.body, o.payload FROM outbox o WHERE o.channel IN (?, '') AND o.chat = ?"
        " AND o.state = ? AND o.sent_at > ? AND NOT EXISTS (SELECT 1 FROM messages m"
        " WHERE m.channel = ? AND m.id = o.message_id)",
        (*key, SENT, now - ECHO_SECONDS, key.number),
    )
    return any(_like(*row) == like for row in rows)


def _like(kind: str, body: str, payload: str) -> Likeness:
    return likeness(kind, body, read_payload.decode(payload))
