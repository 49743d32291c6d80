"""`recado send`: one message through the outbox."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict

import click
import trio

from daemon.domain.ids import is_reachable
from daemon.domain.messages import ChatKey
from daemon.ledger.admin.cli_queries import Sending, channel_of, queue_text, sending_of
from daemon.ledger.drivers.sqlite.database import transaction
from daemon.ledger.drivers.sqlite.opening import open_cli_connection
from daemon.ledger.people import has_opted_out
from daemon.ops.commands.place import Failure, NotDone, Place, known_chat, os_actor, takes_place

LOOK_SECONDS = 0.1
SETTLED = frozenset({"sent", "failed", "dropped"})


EXAMPLE = """\b
Example:
  recado send 573001234567 "Su mesa está lista" --wait 30
"""


@click.command(name="send", epilog=EXAMPLE)
@click.argument("chat")
@click.argument("text")
@click.option(
    "--wait",
    type=click.FloatRange(min=0, max=86400),
    default=0,
    metavar="SECONDS",
    help="Wait until it is sent, and print its WhatsApp id; status 1 if it is not by then.",
)
@click.option(
    "--anyway", is_flag=True, help="Also to somebody who wants no messages they have not asked for."
)
@click.option(
    "--channel",
    help="Our number, by the gateway's id; else the one that the chat last used.",
)
@click.option("--json", "as_json", is_flag=True, help="Print row, state and id as JSON.")
@takes_place
def command(
    place: Place,
    *,
    chat: str,
    text: str,
    wait: float,
    anyway: bool,
    channel: str | None,
    as_json: bool,
) -> None:
    """Send one message to a chat, through the daemon's outbox.

    CHAT is a phone number with its country code, or a chat id as WhatsApp has it. The message is
    stored and the outbox row's number printed; the running daemon sends it within seconds, a
    stopped one when it starts. While a person of the business has the chat it is not sent.
    """
    key_chat = known_chat(chat)
    if not is_reachable(key_chat):
        raise Failure(f"{chat} is no chat: a number with its country code, or an id such as …@g.us")
    if not text.strip():
        raise Failure("the text is empty")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Failure("the text is not valid UTF-8") from None
    with open_cli_connection(place.data_dir) as connection:
        with transaction(connection):
            key = ChatKey(
                channel_of(connection, key_chat) if channel is None else channel, key_chat
            )
            if not anyway and has_opted_out(connection, key):
                raise Failure(
                    f"{chat} wants no messages that they have not asked for; --anyway sends it"
                )
            row_id = queue_text(connection, key, text, by=os_actor(), now=time.time())
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
    """Look at the row until nothing more will happen to it, at most so long."""
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
