"""Messages with a file, made ready to be sent; above all voice notes that answer voice notes.

An answer is spoken if the customer spoke and its words are fit for it. The outbox holds the words;
the voice note is made when its turn to be sent has come, once: its file is on the disk and named by
the row before the send begins. If it cannot be made, or WhatsApp does not take it, the row becomes
written words in one write, so that the two are never both sent.
"""

import base64
from pathlib import PurePath

import trio

from daemon.assistant.sound import spoken_seconds
from daemon.conversation.deps import Dependencies
from daemon.domain.limits.budget import spoken_use
from daemon.domain.messages import JsonObject, Media
from daemon.domain.records import OutboxRow, Turn
from daemon.domain.rendering.outgoing import WITH_MEDIA, Outgoing
from daemon.domain.rendering.plainer import WITHOUT
from daemon.domain.rendering.speakable import is_fit, spoken_parts, spoken_words
from daemon.errors import AssistantError, ModelTemporary
from daemon.observability.events import VOICE_ERROR

MAX_VOICE_TRIES = 3
"""A voice note that was not found in the chat after so many sends is written."""

SPOKEN = frozenset({"voice", "ptt"})
"""WhatsApp's names of voice notes; an audio file that somebody passes on is none."""

UNPAID = "the day's budget does not pay for speech"

MIME_TYPES = {"ogg": "audio/ogg; codecs=opus", "mp3": "audio/mpeg"}


def wants_voice(turn: Turn, needs: Dependencies) -> bool:
    """True if the customer spoke in a turn, and we can speak."""
    contents = (stored.message.content for stored in turn.messages)
    return needs.speech is not None and any(
        isinstance(content, Media) and content.medium in SPOKEN for content in contents
    )


def spoken_answer(text: str, turn: Turn, needs: Dependencies) -> list[str]:
    """The words of the voice notes that an answer becomes; empty if it is to be written."""
    if not wants_voice(turn, needs):
        return []
    rules = needs.rules
    parts = spoken_parts(text, most=rules.spoken_characters) if is_fit(text) else []
    if not parts or len(parts) > rules.max_bubbles:
        needs.metrics.voice_replies.labels("unfit").inc()
        return []
    return parts


async def make_voice(row: OutboxRow, needs: Dependencies) -> OutboxRow:
    """Have the words of a pending row spoken, unless that is done; it is text if that fails.

    Called by the chat's task, shortly before the send.
    """
    if row.attempts >= MAX_VOICE_TRIES:
        return await write_instead(row, "not arrived after several tries", "refused", needs)
    name = row.payload.get("file", "")
    if name and (needs.store.files.folder / name).exists():
        return row
    words, price = spoken_words(row.body), needs.purse.budget.speech
    payment = await needs.purse.pay(row.key, spoken_use(len(words), price))
    if payment is None:
        return await write_instead(row, UNPAID, "unpaid", needs)
    try:
        data = await _spoken(words, needs)
    except AssistantError as error:
        await payment.give_back()
        return await write_instead(row, str(error), "not_made", needs)
    await payment.settle(spoken_use(len(words), price, seconds=spoken_seconds(data)))
    try:
        payload = await _kept(data, needs)
    except OSError as error:
        return await write_instead(row, str(error), "not_made", needs)
    return await needs.store.outbox.voiced(row, payload)


async def _spoken(words: str, needs: Dependencies) -> bytes:
    """Have words spoken; gives the bytes of the file."""
    if needs.speech is None:
        raise ModelTemporary("there is no speech model any more")
    outcome = "cancelled"
    try:
        data = await needs.speech.speak(words)
        outcome = "ok"
    except AssistantError as error:
        outcome = "temporary" if isinstance(error, ModelTemporary) else "rejected"
        raise
    finally:
        needs.metrics.count_upstream("model", "speech", outcome)
    return data


async def _kept(data: bytes, needs: Dependencies) -> JsonObject:
    """Keep the file of a voice note; gives what the row has to know of it."""
    ending = needs.speech.ending if needs.speech else "ogg"
    name = await needs.store.files.keep_voice(data, ending, now=needs.now(), random=needs.random)
    payload: JsonObject = {"file": name, "mime_type": MIME_TYPES[ending]}
    if ending == "ogg" and (seconds := spoken_seconds(data)):
        payload["seconds"] = seconds
    return payload


async def write_instead(row: OutboxRow, reason: str, result: str, needs: Dependencies) -> OutboxRow:
    """Write what was to be spoken. The row's last send certainly did not happen."""
    needs.metrics.voice_replies.labels(result).inc()
    needs.log.event(VOICE_ERROR, what="written instead of spoken", outbox=row.id, error=reason)
    return await needs.store.outbox.write_instead(row, reason)


async def outgoing(row: OutboxRow, needs: Dependencies) -> Outgoing | None:
    """The message of a row as the gateway takes it; None if its file is gone or unreadable."""
    media = ""
    if row.kind in WITH_MEDIA:
        name = str(row.payload.get("file", ""))
        media = await _data_uri(row, name, needs) if name else str(row.payload.get("source", ""))
        if not media:
            needs.log.warning("a file to be sent is gone", symbol="❌", outbox=row.id)
            return None
    left_out = row.payload.get(WITHOUT, ())
    return Outgoing(
        kind=row.kind,
        body=row.body,
        quoted=row.quoted,
        payload=row.payload,
        media=media,
        link_preview=needs.rules.link_preview and "link_preview" not in left_out,
    )


async def _data_uri(row: OutboxRow, name: str, needs: Dependencies) -> str:
    try:
        data = await needs.store.files.read(PurePath(name).name)
    except OSError as error:
        needs.log.warning("a file to be sent cannot be read", outbox=row.id, error=str(error))
        return ""
    if data is None:
        return ""
    mime_type = str(row.payload.get("mime_type", "application/octet-stream")).partition(";")[0]
    encoded = await trio.to_thread.run_sync(base64.b64encode, data)
    return f"data:{mime_type};base64,{encoded.decode()}"
