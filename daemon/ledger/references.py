"""References: what the ledger knows about the surroundings of a new message.

WhatsApp names the message that is quoted, reacted to or voted in, but not always its words; and
whether a group's message is meant for us depends on who we are and on earlier messages.
"""

from collections.abc import Callable, Sequence

import msgspec

from daemon.domain.ids import chat_of, is_alias, is_group, local_part
from daemon.domain.messages import AnyContent, Message, Poll, Reaction, Vote, Webhook
from daemon.domain.prompt.message_text import as_line
from daemon.domain.records import NOT_ADDRESSED, Known, StoredMessage, Turn
from daemon.domain.rendering.outgoing import poll_option_id
from daemon.ledger.drivers.port import Connection, Role, query, transaction
from daemon.ledger.messages import IN_CHAT, WAITING, in_chat, read_message, stored_message
from daemon.ledger.people import canonical, shown_pair

_LEARN = "INSERT INTO own_ids (channel, id) VALUES (?, ?) ON CONFLICT (channel, id) DO NOTHING"

LATELY_WRITTEN = 100
"""Messages of a group that are searched for several authors."""

LIVE_SECONDS = 8 * 3600.0
"""WhatsApp shares a live location for at most so long."""


class Judging(msgspec.Struct, frozen=True, kw_only=True):
    """The rules by which the messages of a call are judged."""

    verdict: Callable[[Known], str]
    """Gives why a message is ignored, empty to answer it; called in the writer's thread."""
    own_ids: frozenset[str]
    """Our number and lid as far as the configuration names them; more are learnt from our own
    messages."""
    mentions: bool
    """True if it matters who is addressed in groups."""


class References(Role):
    """Looks things up for new messages. Any task may call it."""

    async def know(
        self,
        messages: Sequence[Message],
        *,
        own_ids: frozenset[str],
        mentions: bool = True,
        now: float,
    ) -> list[Known]:
        """The ledger's facts about new messages, in their order.

        ``own_ids`` and ``mentions``: see `Judging`. Most messages need no query, and cause none.
        """
        if not any(needs_look(message, mentions=mentions) for message in messages):
            return [known_by_itself(message) for message in messages]
        return await self._database.read(
            lambda connection: know(
                connection, messages, own_ids=own_ids, mentions=mentions, now=now
            )
        )

    @query
    def number_without_lid(self, connection: Connection, number: str) -> str:
        """The digits of a number of ours, if they are known and its lid is not; else empty."""
        rows = connection.execute("SELECT id FROM own_ids WHERE channel = ?", (number,))
        ids = [str(row[0]) for row in rows]
        return "" if any(map(is_alias, ids)) else next(iter(ids), "")

    @transaction
    def learn_own_id(self, connection: Connection, number: str, own_id: str) -> None:
        """Keep the digits or the lid of a number of ours."""
        connection.execute(_LEARN, (number, own_id))

    @query
    def knows_us(self, connection: Connection, number: str) -> bool:
        """Whether any id of this number of ours is known."""
        found = connection.execute("SELECT 1 FROM own_ids WHERE channel = ? LIMIT 1", (number,))
        return found.fetchone() is not None

    @query
    def others_write(self, connection: Connection, turn: Turn, author: str) -> bool:
        """True if others than ``author`` have written lately in the chat of a turn."""
        row = connection.execute(
            "SELECT 1 FROM (SELECT author, from_me FROM messages WHERE channel || '/' || chat = ?"
            " ORDER BY seq DESC LIMIT ?) newest"
            " WHERE from_me = 0 AND author NOT IN ('', ?) LIMIT 1",
            ("/".join(turn.key), LATELY_WRITTEN, author),
        ).fetchone()
        return row is not None

    @query
    def unaddressed(
        self, connection: Connection, turn: Turn, *, limit: int
    ) -> tuple[StoredMessage, ...]:
        """The newest ``limit`` messages of a group to itself since the turn before, in order."""
        last = turn.messages[-1].seq if turn.messages else 0
        rows = connection.execute(
            "SELECT seq, message, received_at FROM messages WHERE channel = :number"
            f" AND chat = :chat AND reason = '{NOT_ADDRESSED}' AND deleted_at IS NULL"
            " AND seq < :last AND seq > COALESCE((SELECT seq FROM messages"
            " WHERE channel = :number AND chat = :chat AND turn_id IS NOT NULL"
            " AND turn_id != :turn AND seq < :last ORDER BY seq DESC LIMIT 1), 0)"
            " ORDER BY seq DESC LIMIT :limit",
            {**turn.key._asdict(), "last": last, "turn": turn.id, "limit": limit},
        ).fetchall()
        return tuple(stored_message(*row) for row in reversed(rows))


def know(
    connection: Connection,
    messages: Sequence[Message],
    *,
    own_ids: frozenset[str],
    mentions: bool = True,
    now: float,
) -> list[Known]:
    """See `References.know`; inside the caller's transaction."""
    return [
        _look(connection, message, own_ids, now)
        if needs_look(message, mentions=mentions)
        else known_by_itself(message)
        for message in messages
    ]


def judge(
    connection: Connection, webhook: Webhook, judging: Judging, now: float
) -> tuple[Webhook, list[str]]:
    """A call with what is known of its messages, and the verdicts; in the caller's transaction."""
    known = know(
        connection, webhook.messages, own_ids=judging.own_ids, mentions=judging.mentions, now=now
    )
    messages = tuple(one.message for one in known)
    verdicts = [judging.verdict(one) for one in known]
    return msgspec.structs.replace(webhook, messages=messages), verdicts


def learn_own_id(connection: Connection, message: Message) -> None:
    """Keep the id under which WhatsApp shows us, from a message that left our number."""
    if message.from_me and message.author and not message.key.chat.startswith(message.author):
        connection.execute(
            _LEARN,
            (message.key.number, message.author),
        )


def needs_look(message: Message, *, mentions: bool) -> bool:
    """Whether the ledger must be asked about the surroundings of a message."""
    if message.quote is not None and not message.quote.body:
        return True
    if message.from_me:
        return False
    return (
        (mentions and message.is_group)
        or is_alias(message.key.chat)
        or message.kind == "live_location"
        or isinstance(message.content, Reaction | Vote)
    )


def known_by_itself(message: Message) -> Known:
    """The facts that a message alone shows."""
    chat = message.key.chat
    authors = {chat_of(message.author)} if message.author else set()
    if not message.is_group:
        authors.add(chat)
    return Known(message=message, names=frozenset({chat}), authors=frozenset(authors))


def _look(connection: Connection, message: Message, own_ids: frozenset[str], now: float) -> Known:
    chat = message.key.chat
    others = {canonical(connection, message.key).chat, shown_pair(message), chat} - {""}
    authors = {chat_of(message.author)} if message.author else set()
    message, about_us = _with_words(connection, message)
    return Known(
        message=message,
        names=frozenset(others),
        authors=frozenset(authors if message.is_group else authors | others),
        addressed=message.is_group and (about_us or _is_addressed(connection, message, own_ids)),
        about_us=about_us,
        moved=message.kind == "live_location" and _is_moving(connection, message, now),
    )


def _with_words(connection: Connection, message: Message) -> tuple[Message, bool]:
    """The message with the words that it refers to, and whether they were ours."""
    content = message.content
    if isinstance(content, Reaction):
        words, ours = _words_of(connection, message, content.target)
        content = msgspec.structs.replace(content, about=words)
        return msgspec.structs.replace(message, content=content), ours
    if isinstance(content, Vote):
        poll, ours = _content_of(connection, message, content.target)
        if poll is None:  # its echo has not come
            poll = _own_poll(connection, message, content.target)
            ours = poll is not None
        if isinstance(poll, Poll):
            content = _counted(content, poll, ours=ours)
        return msgspec.structs.replace(message, content=content), ours
    quote = message.quote
    if quote is None:
        return message, False
    words, ours = _words_of(connection, message, quote.id)
    if not quote.body and words:
        quote = msgspec.structs.replace(quote, body=words)
        message = msgspec.structs.replace(message, quote=quote)
    return message, ours


def _counted(vote: Vote, poll: Poll, *, ours: bool) -> Vote:
    """A vote with the words of its options."""
    names = dict(zip(poll.option_ids, poll.options, strict=False))
    chosen = [
        names.get(option, option if option in poll.options else "") for option in vote.options
    ]
    return msgspec.structs.replace(
        vote, question=poll.title, chosen=tuple(filter(None, chosen)), ours=ours
    )


def _own_poll(connection: Connection, message: Message, target: str) -> Poll | None:
    """A poll that we have sent, by its id; its options have the ids that WhatsApp gives them."""
    row = connection.execute(
        "SELECT body, payload, chat FROM outbox WHERE message_id = ? AND kind = 'poll'", (target,)
    ).fetchone()
    if row is None or not target or not _is_shown_to(connection, message, row[2]):
        return None
    options = tuple(msgspec.json.decode(row[1]).get("options", ()))
    ids = tuple(poll_option_id(option) for option in options)
    return Poll(title=row[0], options=options, option_ids=ids)


def _words_of(connection: Connection, message: Message, target: str) -> tuple[str, bool]:
    """The words of an earlier message, and whether it was ours."""
    row = connection.execute(
        "SELECT body, chat FROM outbox WHERE message_id = ? AND message_id != ''"
        " ORDER BY id LIMIT 1",
        (target,),
    ).fetchone()
    if row and not _is_shown_to(connection, message, row[1]):
        return "", False
    if row and row[0]:
        return str(row[0]), True
    content, ours = _content_of(connection, message, target)
    return (as_line(content) if content is not None else ""), ours or row is not None


def _content_of(
    connection: Connection, message: Message, target: str
) -> tuple[AnyContent | None, bool]:
    row = connection.execute(
        "SELECT message, from_me, chat FROM messages WHERE channel = ? AND id = ?",
        (message.key.number, target),
    ).fetchone()
    if row is None or not _is_shown_to(connection, message, row[2]):
        return None, False
    return read_message.decode(row[0]).content, bool(row[1])


def _is_shown_to(connection: Connection, message: Message, chat: str) -> bool:
    """Whether the words of a chat may be shown in the chat of a message that refers to them.

    The author chooses the id: that of a stranger's message would reveal the stranger's words.
    Messages of a group can be answered in private.
    """
    return is_group(chat) or chat == canonical(connection, message.key).chat


# -- in groups -----------------------------------------------------------------------------------


def _is_addressed(connection: Connection, message: Message, own_ids: frozenset[str]) -> bool:
    """Whether it mentions or answers us, or continues its author's last message to us."""
    goes_on = connection.execute(
        f"SELECT 1 FROM messages WHERE {IN_CHAT} AND {WAITING} AND from_me = 0"
        " AND author = ? LIMIT 1",
        (*in_chat(message.key), message.author),
    ).fetchone()
    if goes_on is not None:
        return True
    learnt = connection.execute("SELECT id FROM own_ids WHERE channel = ?", (message.key.number,))
    return _mentions(message, own_ids.union(own_id for (own_id,) in learnt))


def _mentions(message: Message, own_ids: frozenset[str]) -> bool:
    """Whether it names or answers one of these ids."""
    own = set(map(local_part, own_ids))
    if not own.isdisjoint(map(local_part, message.mentions)):
        return True
    if message.quote is not None and local_part(message.quote.author) in own:
        return True
    # WhatsApp writes a mention into the text as @ and digits; the list of mentions may be missing.
    words = as_line(message.content)
    return any(f"@{digits}" in words for digits in own)


def _is_moving(connection: Connection, message: Message, now: float) -> bool:
    """Whether its author has begun to share a live location in this chat before."""
    row = connection.execute(
        "SELECT 1 FROM messages WHERE channel = ? AND chat = ? AND kind = 'live_location'"
        " AND received_at > ? AND id != ? AND from_me = 0 AND author = ?",
        (*canonical(connection, message.key), now - LIVE_SECONDS, message.id, message.author),
    ).fetchone()
    return row is not None
