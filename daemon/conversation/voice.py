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
from daemon.domain.limits import spoken_use
from daemon.domain.messages import JsonObject, Media
from daemon.domain.records import OutboxRow, Turn
from daemon.domain.rendering.outgoing import WITH_MEDIA, WITHOUT, Outgoing
from daemon.domain.rendering.split import is_fit, spoken_parts, spoken_words
from daemon.errors import AssistantError, ModelTemporary
from daemon.observability.events import VOICE_ERROR

MAX_VOICE_TRIES = 3
"""A voice note that was not found in the chat after so many sends is written."""

SPOKEN = frozenset({"voice", "ptt"})
"""WhatsApp's names of voice notes; an audio file that somebody passes on is none."""

UNPAID = "the day's budget does not pay for speech"

MIME_TYPES = {"ogg": "audio/ogg; codecs=opus", "mp3": "audio/mpeg"}


def wants_voice(turn: Turn, deps: Dependencies) -> bool:
    """True if the customer spoke in a turn, and we can speak."""
    contents = (stored.message.content for stored in turn.messages)
    return deps.speech is not None and any(
        isinstance(content, Media) and content.medium in SPOKEN for content in contents
    )


def spoken_answer(text: str, turn: Turn, deps: Dependencies) -> list[str]:
    """The words of the voice notes that an answer becomes; empty if it is to be written."""
    if not wants_voice(turn, deps):
        return []
    rules = deps.rules
    parts = spoken_parts(text, most=rules.spoken_characters) if is_fit(text) else []
    if not parts or len(parts) > rules.max_bubbles:
        deps.metrics.voice_replies.labels("unfit").inc()
        return []
    return parts


async def make_voice(row: OutboxRow, deps: Dependencies) -> OutboxRow:
    """Have the words of a pending row spoken, unless that is done; it is text if that fails.

    Called by the chat's task, shortly before the send.
    """
    if row.attempts >= MAX_VOICE_TRIES:
        return await write_instead(row, "not arrived after several tries", "refused", deps)
    name = row.payload.get("file", "")
    if name and (deps.store.files.folder / name).exists():
        return row
    words, price = spoken_words(row.body), deps.call_budget.budget.speech
    reservation = await deps.call_budget.reserve(row.key, spoken_use(len(words), price))
    if reservation is None:
        return await write_instead(row, UNPAID, "unpaid", deps)
    try:
        data = await _spoken(words, deps)
    except AssistantError as error:
        await reservation.release()
        return await write_instead(row, str(error), "not_made", deps)
    await reservation.settle(spoken_use(len(words), price, seconds=spoken_seconds(data)))
    try:
        payload = await _kept(data, deps)
    except OSError as error:
        return await write_instead(row, str(error), "not_made", deps)
    return await deps.store.outbox.voiced(row, payload)


async def _spoken(words: str, deps: Dependencies) -> bytes:
    """Have words spoken; gives the bytes of the file."""
    if deps.speech is None:
        raise ModelTemporary("there is no speech model any more")
    outcome = "cancelled"
    try:
        data = await deps.speech.speak(words)
        outcome = "ok"
    except AssistantError as error:
        outcome = "temporary" if isinstance(error, ModelTemporary) else "rejected"
        raise
    finally:
        deps.metrics.count_upstream("model", "speech", outcome)
    return data


async def _kept(data: bytes, deps: Dependencies) -> JsonObject:
    """Keep the file of a voice note; gives what the row has to know of it."""
    ending = deps.speech.ending if deps.speech else "ogg"
    name = await deps.store.files.keep_voice(data, ending, now=deps.now(), random=deps.random)
    payload: JsonObject = {"file": name, "mime_type": MIME_TYPES[ending]}
    if ending == "ogg" and (seconds := spoken_seconds(data)):
        payload["seconds"] = seconds
    return payload


async def write_instead(row: OutboxRow, reason: str, result: str, deps: Dependencies) -> OutboxRow:
    """Write what was to be spoken. The row's last send certainly did not happen."""
    deps.metrics.voice_replies.labels(result).inc()
    deps.log.event(VOICE_ERROR, what="written instead of spoken", outbox=row.id, error=reason)
    return await deps.store.outbox.write_instead(row, reason)


async def outgoing(row: OutboxRow, deps: Dependencies) -> Outgoing | None:
    """The message of a row as the gateway takes it; None if its file is gone or unreadable."""
    media = ""
    if row.kind in WITH_MEDIA:
        name = str(row.payload.get("file", ""))
        media = await _data_uri(row, name, deps) if name else str(row.payload.get("source", ""))
        if not media:
            deps.log.warning("a file to be sent is gone", symbol="❌", outbox=row.id)
            return None
    left_out = row.payload.get(WITHOUT, ())
    return Outgoing(
        kind=row.kind,
        body=row.body,
        quoted=row.quoted,
        payload=row.payload,
        media=media,
        link_preview=deps.rules.link_preview and "link_preview" not in left_out,
    )


async def _data_uri(row: OutboxRow, name: str, deps: Dependencies) -> str:
    try:
        data = await deps.store.files.read(PurePath(name).name)
    except OSError as error:
        deps.log.warning("a file to be sent cannot be read", outbox=row.id, error=str(error))
        return ""
    if data is None:
        return ""
    mime_type = str(row.payload.get("mime_type", "application/octet-stream")).partition(";")[0]
    encoded = await trio.to_thread.run_sync(base64.b64encode, data)
    return f"data:{mime_type};base64,{encoded.decode()}"
