"""Voice notes that answer voice notes.

An answer is spoken if the customer spoke and its words are fit for it. The outbox holds the words;
the voice note is made when its turn to be sent has come, once: its file is on the disk and named by
the row before the send begins. If it cannot be made, or WhatsApp does not take it, the row becomes
written words in one write, so that the two are never both sent.
"""

from daemon.assistant.sound import spoken_seconds
from daemon.conversation.model_access import Speaker
from daemon.conversation.services import ChatServices
from daemon.domain.limits import spoken_use
from daemon.domain.messages import JsonObject, Media
from daemon.domain.records import OutboxRow, Turn
from daemon.domain.rendering.split import is_fit, spoken_parts, spoken_words
from daemon.errors import AssistantError, ModelTemporary
from daemon.observability.events import VOICE_ERROR
from daemon.observability.metrics import Metrics

MAX_VOICE_TRIES = 3
"""A voice note that was not found in the chat after so many sends is written."""

SPOKEN = frozenset({"voice", "ptt"})
"""WhatsApp's names of voice notes; an audio file that somebody passes on is none."""

UNPAID = "the day's budget does not pay for speech"
NO_MODEL = "there is no speech model any more"

MIME_TYPES = {"ogg": "audio/ogg; codecs=opus", "mp3": "audio/mpeg"}


def wants_voice(turn: Turn, services: ChatServices) -> bool:
    """True if the customer spoke in a turn, and we can speak."""
    contents = (stored.message.content for stored in turn.messages)
    return services.model.speech is not None and any(
        isinstance(content, Media) and content.medium in SPOKEN for content in contents
    )


def spoken_answer(text: str, turn: Turn, services: ChatServices) -> list[str]:
    """The words of the voice notes that an answer becomes; empty if it is to be written."""
    if not wants_voice(turn, services):
        return []
    rules = services.config.rules
    parts = spoken_parts(text, most=rules.spoken_characters) if is_fit(text) else []
    if not parts or len(parts) > rules.max_bubbles:
        services.telemetry.metrics.voice_replies.labels("unfit").inc()
        return []
    return parts


async def make_voice(row: OutboxRow, services: ChatServices) -> OutboxRow:
    """Have the words of a pending row spoken, unless that is done; it is text if that fails.

    Called by the chat's task, shortly before the send.
    """
    if row.attempts >= MAX_VOICE_TRIES:
        reason = "not arrived after several tries"
        return await write_instead(row, reason, "refused", services)
    name = row.payload.get("file", "")
    if name and (services.store.files.folder / name).exists():
        return row
    speech, call_budget = services.model.speech, services.call_budget
    words, price = spoken_words(row.body), call_budget.budget.speech
    reservation = await call_budget.reserve(row.key, spoken_use(len(words), price))
    if reservation is None:
        return await write_instead(row, UNPAID, "unpaid", services)
    if speech is None:
        await reservation.release()
        return await write_instead(row, NO_MODEL, "not_made", services)
    try:
        data = await _spoken(words, speech, services.telemetry.metrics)
    except AssistantError as error:
        await reservation.release()
        return await write_instead(row, str(error), "not_made", services)
    await reservation.settle(spoken_use(len(words), price, seconds=spoken_seconds(data)))
    try:
        payload = await _kept(data, speech.ending, services)
    except OSError as error:
        return await write_instead(row, str(error), "not_made", services)
    return await services.store.outbox.voiced(row, payload)


async def _spoken(words: str, speech: Speaker, metrics: Metrics) -> bytes:
    """Have words spoken; gives the bytes of the file."""
    outcome = "cancelled"
    try:
        data = await speech.speak(words)
        outcome = "ok"
    except AssistantError as error:
        outcome = "temporary" if isinstance(error, ModelTemporary) else "rejected"
        raise
    finally:
        metrics.count_upstream("model", "speech", outcome)
    return data


async def _kept(data: bytes, ending: str, services: ChatServices) -> JsonObject:
    """Keep the file of a voice note; gives what the row has to know of it."""
    telemetry = services.telemetry
    name = await services.store.files.keep_voice(
        data, ending, now=telemetry.now(), random=telemetry.random
    )
    payload: JsonObject = {"file": name, "mime_type": MIME_TYPES[ending]}
    if ending == "ogg" and (seconds := spoken_seconds(data)):
        payload["seconds"] = seconds
    return payload


async def write_instead(
    row: OutboxRow, reason: str, result: str, services: ChatServices
) -> OutboxRow:
    """Write what was to be spoken. The row's last send certainly did not happen."""
    telemetry = services.telemetry
    telemetry.metrics.voice_replies.labels(result).inc()
    telemetry.log.event(VOICE_ERROR, what="written instead of spoken", outbox=row.id, error=reason)
    return await services.store.outbox.write_instead(row, reason)
