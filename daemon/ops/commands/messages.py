"""`recado send`, `replay`, `done`, `unanswered`: messages to be sent, answered or closed."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import click
import trio

from daemon.conversation.intake import parse_again, share_files
from daemon.domain.ids import is_reachable
from daemon.domain.messages import ChatKey, Webhook
from daemon.domain.records import NewPart
from daemon.domain.redaction import mask_numbers
from daemon.errors import FilesUnavailable, MediaDelayed
from daemon.ledger.admin.cli_queries import (
    Sending,
    Unanswered,
    numbers_of_chat,
    queue_message,
    sending_of,
    unanswered,
)
from daemon.ledger.admin.person import names_of
from daemon.ledger.admin.replay import (
    Replayed,
    StoredEvent,
    replay_dead,
    replay_event,
    stored_event,
)
from daemon.ledger.drivers.port import Connection
from daemon.ledger.operator_actions import done_by_hand
from daemon.ledger.people import has_opted_out
from daemon.ops.commands.place import (
    AS_JSON,
    NUMBER,
    REVEAL,
    CommandFailure,
    NotDone,
    Place,
    known_chat,
    note,
    os_actor,
    print_json,
    takes_place,
)

LOOK_SECONDS = 0.1
SETTLED = frozenset({"sent", "failed", "dropped"})

SEND_EXAMPLE = """\b
Example:
  recado send 573001234567 "Su mesa está lista" --wait 30
"""

REPLAY_EXAMPLE = """\b
Example:
  recado replay 4711 4712
  recado replay --dead --chat 573001234567
"""

DONE_EXAMPLE = """\b
Example:
  recado unanswered
  recado done 573001234567
"""

UNANSWERED_EXAMPLE = """\b
Example:
  recado unanswered
  recado unanswered --older-than 600 && echo nobody waits
"""


WAIT = click.option(
    "--wait",
    type=click.FloatRange(min=0, max=86400),
    default=0,
    metavar="SECONDS",
    help="Wait until it is sent, and print its WhatsApp id; status 1 if it is not by then.",
)
ANYWAY = click.option("--anyway", is_flag=True, help="Also to a contact who has opted out.")


# -- send ----------------------------------------------------------------------------------------


@click.command(name="send", epilog=SEND_EXAMPLE)
@click.argument("chat")
@click.argument("text")
@WAIT
@ANYWAY
@NUMBER
@AS_JSON
@takes_place
def send_command(
    place: Place,
    *,
    chat: str,
    text: str,
    wait: float,
    anyway: bool,
    number: str | None,
    as_json: bool,
) -> None:
    """Send one message to a chat, through the daemon's outbox.

    CHAT is a phone number with its country code, or a chat id as WhatsApp has it. The message is
    stored and the number of its row in the outbox printed; the running daemon sends it within
    seconds, a stopped one when it starts. It is not sent while a person has the chat.
    """
    if not text.strip():
        raise CommandFailure("the text is empty")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise CommandFailure("the text is not valid UTF-8") from None
    order = Order(chat=chat, number=number, wait=wait, anyway=anyway, as_json=as_json)
    send(place, order, lambda _connection, _key: NewPart(text))


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What an operator says about a message that is to be sent."""

    chat: str
    number: str | None
    wait: float
    anyway: bool
    as_json: bool


def send(place: Place, order: Order, make: Callable[[Connection, ChatKey], NewPart]) -> None:
    """Queue the message that ``make`` gives, and wait for it as far as is wanted."""
    chat, wait, as_json = order.chat, order.wait, order.as_json
    key_chat = known_chat(chat)
    if not is_reachable(key_chat):
        raise CommandFailure(
            f"{chat} is no chat: a number with its country code, or an id such as …@g.us"
        )
    with place.opened() as connection:
        with connection.transaction():
            known_by = numbers_of_chat(connection, key_chat)
            key = ChatKey(place.number(order.number, known_by), key_chat)
            if not order.anyway and has_opted_out(connection, key):
                raise CommandFailure(
                    f"{chat} has opted out of unrequested messages; --anyway sends it"
                )
            part = make(connection, key)
            row_id = queue_message(connection, key, part, by=os_actor(), now=time.time())
        if not as_json:
            click.echo(f"outbox row {row_id}")
        sending = trio.run(_settled, lambda: sending_of(connection, row_id), wait)
    if as_json:
        click.echo(json.dumps({"row": row_id, **asdict(sending)}, ensure_ascii=False))
    elif wait and sending.state == "sent":
        click.echo(f"sent as {sending.message_id}")
    if wait:
        _require_sent(sending)


async def _settled(look: Callable[[], Sending], seconds: float) -> Sending:
    """Look at the row until its state is final, for so long at most."""
    sending = look()
    with trio.move_on_after(seconds):
        while sending.state not in SETTLED:
            await trio.sleep(LOOK_SECONDS)
            sending = look()
    return sending


def _require_sent(sending: Sending) -> None:
    if sending.state == "sent":
        return
    reason = f": {sending.error}" if sending.error else ""
    if sending.state in SETTLED:
        raise NotDone(f"not sent, {sending.state}{reason}")
    raise NotDone(f"not sent yet, {sending.state}{reason}; it stays in the outbox")


# -- replay --------------------------------------------------------------------------------------


@click.command(name="replay", epilog=REPLAY_EXAMPLE)
@click.argument("event_ids", metavar="[EVENT_ID]...", type=int, nargs=-1)
@click.option("--dead", is_flag=True, help="Replay all messages that ended as dead.")
@click.option("--chat", help="With --dead: only those of this chat.")
@AS_JSON
@takes_place
def replay_command(
    place: Place, *, event_ids: tuple[int, ...], dead: bool, chat: str | None, as_json: bool
) -> None:
    """Replay stored webhook events, or all dead messages.

    A message that never got its answer (dead, expired, or ignored although it is one to answer)
    waits for one again, and the running daemon answers it within seconds. Messages that were
    answered or that a person has handled are not changed. What could not be parsed when an event
    came is parsed again. Each replayed message has a row in the audit, which recado explain shows;
    the number of an event is in recado explain, too.
    """
    if bool(event_ids) == dead:
        raise click.UsageError("name events, or give --dead")
    if chat is not None and not dead:
        raise click.UsageError("--chat goes with --dead")
    now, by, policies = time.time(), os_actor(), place.policies
    with place.writing() as connection:
        if dead:
            chats = names_of(connection, known_chat(chat)) if chat is not None else ()
            replayed = replay_dead(connection, chats, policies, by=by, now=now)
        else:
            replayed = []
            for event_id in dict.fromkeys(event_ids):
                event = stored_event(connection, event_id, place.events)
                if event is None:
                    raise CommandFailure(f"there is no event {event_id}; nothing was put back")
                webhook = _parse(event, place)
                replayed += replay_event(connection, event, webhook, policies, by=by, now=now)
    _print_replayed(replayed, as_json=as_json)


def _parse(event: StoredEvent, place: Place) -> Webhook | None:
    try:
        webhook, problems = parse_again(
            event, parse=place.gateway(event.number).parse_webhook, media=place.media
        )
        if event.unreadable and webhook:
            trio.run(share_files, webhook.messages, place.file_store())
    except (MediaDelayed, FilesUnavailable) as error:
        raise CommandFailure(f"event {event.id}: {error}; nothing was put back") from error
    for problem in problems:
        click.echo(f"event {event.id}: {problem}", err=True)
    return webhook


def _print_replayed(replayed: Sequence[Replayed], *, as_json: bool) -> None:
    if as_json:
        print_json([asdict(one) | {"chat": mask_numbers(one.chat)} for one in replayed])
        return
    for one in replayed:
        done = "put back" if one.done else "left alone"
        click.echo(f"{one.message_id}  {mask_numbers(one.chat)}  {done}: {one.what}")
    put_back = sum(one.done for one in replayed)
    click.echo(f"{put_back} put back, {len(replayed) - put_back} left alone")


# -- done, unanswered ----------------------------------------------------------------------------


@click.command(name="done", epilog=DONE_EXAMPLE)
@click.argument("chat")
@NUMBER
@AS_JSON
@takes_place
def done_command(place: Place, *, chat: str, number: str | None, as_json: bool) -> None:
    """Mark as resolved what waits for a person in a chat: by a call, or because it needs no answer.

    CHAT is a phone number with its country code, or a chat id, with all our numbers or with the
    named one. The bot never answers what is closed so. If it is paused in the chat, it stays so.
    """
    now, by = time.time(), os_actor()
    with place.writing() as connection:
        names = names_of(connection, known_chat(chat))
        only = None if number is None else place.number(number)
        done = [done_by_hand(connection, name, channel=only, by=by, now=now) for name in names]
    chats = sum(len(keys) for keys, _ in done)
    messages = sum(closed for _, closed in done)
    if not chats:
        raise NotDone("there is no such chat")
    if as_json:
        click.echo(json.dumps({"chats": chats, "messages": messages}))
    else:
        click.echo(f"{messages} message{'' if messages == 1 else 's'} closed")


@click.command(name="unanswered", epilog=UNANSWERED_EXAMPLE)
@click.option("--older-than", default=0.0, metavar="SECONDS", help="Leave younger ones out.")
@AS_JSON
@REVEAL
@takes_place
def unanswered_command(place: Place, *, older_than: float, as_json: bool, reveal: bool) -> None:
    """List the chats in which a customer waits, the longest wait first, and for whom.

    For the bot; for a person of the business, who has the chat or was asked for; or for an
    operator, where no answer was possible or it could not be delivered: `recado replay --dead`
    starts a new answer. `recado done CHAT` closes what waits for a person.

    Exit status 1 if there are any, for scripts. `recado explain` shows what happened to each.
    """
    now = time.time()
    with place.reading() as connection:
        found = [chat for chat in unanswered(connection) if now - chat.since >= older_than]
    if reveal:
        note(place, "reveal", after=f"unanswered, {len(found)} rows")
    shown = mask_numbers if not reveal else str
    if as_json:
        print_json([asdict(chat) | {"chat": shown(chat.chat)} for chat in found])
    else:
        for chat in found:
            click.echo(_line(chat, shown(chat.chat), place, now))
        click.echo(f"{len(found)} {'chat waits' if len(found) == 1 else 'chats wait'}")
    if found:
        raise SystemExit(1)


def _line(chat: Unanswered, name: str, place: Place, now: float) -> str:
    waits_for = {"operator": "an operator", "person": "a person"}.get(chat.waits_for, "the bot")
    number = f"{chat.number} " if len(place.numbers) > 1 else ""
    parts = [
        f"{number}{name}",
        f"waits for {waits_for}",
        f"since {place.moment(chat.since)}, {now - chat.since:,.0f} s",
        chat.why,
    ]
    if chat.messages:
        many = f"{chat.messages} message{'' if chat.messages == 1 else 's'}"
        parts.append(f"{many}, the first {chat.message_id}")
    return "  ".join(parts)
