"""The messages that an answer becomes: written or spoken, with whom and what they refer to."""

from dataclasses import replace
from functools import partial

from daemon.conversation.deps import Dependencies
from daemon.conversation.large_texts import work_on
from daemon.conversation.voice import spoken_answer
from daemon.domain.records import NewPart, Turn
from daemon.domain.rendering.outgoing import mentioning
from daemon.domain.rendering.split import MAX_WRITTEN, split_reply


async def reply_parts(text: str, turn: Turn, deps: Dependencies) -> list[NewPart]:
    """Cut the answer of a turn into messages; at least one, the safe words if ``text`` is empty.

    The first of them quotes, and in a group mentions, whom it answers. Called by the chat's task.
    """
    spoken = spoken_answer(text, turn, deps) if text else []
    if spoken:
        parts = [NewPart(body=words, kind="voice") for words in spoken]
    else:
        parts = await _written(text or deps.texts.unclear, deps)
    parts[0] = replace(parts[0], quoted=_quoted(turn, in_group=deps.rules.group_quote))
    whom = await _mentioned(turn, deps)
    if whom and parts[0].kind == "text":  # nobody sees a mention in a voice note
        parts[0] = mentioning(parts[0], whom)
    return parts


async def _written(text: str, deps: Dependencies) -> list[NewPart]:
    """The texts that an answer is cut into, or the document that has all of it."""
    rules, texts = deps.rules, deps.texts
    cut = partial(split_reply, text, max_bubbles=rules.max_bubbles, short=rules.short_characters)
    chunks = await work_on(len(text), cut)
    if len(text) > MAX_WRITTEN or len(chunks) > rules.max_bubbles:
        try:
            name = await deps.store.files.keep_text(text)
        except OSError as error:
            deps.log.warning("answer not written as a document", error=str(error))
        else:
            payload = {"filename": f"{texts.document_name}.txt", "mime_type": "text/plain"}
            return [NewPart(texts.document, kind="document", payload={**payload, "file": name})]
    return [NewPart(body=chunk) for chunk in chunks]


def _quoted(turn: Turn, *, in_group: bool) -> str:
    """The message that the answer is to quote: of a group's the last one, else a late one."""
    if in_group and turn.messages and turn.messages[-1].message.is_group:
        return turn.messages[-1].message.id
    return turn.messages[0].message.id if turn.quotes else ""


async def _mentioned(turn: Turn, deps: Dependencies) -> str:
    """Whom the answer mentions: in a group in which others write too, who wrote last."""
    if not deps.rules.group_mention or not turn.messages:
        return ""
    newest = turn.messages[-1].message
    if not newest.is_group or not newest.author:
        return ""
    several = await deps.store.references.others_write(turn, newest.author)
    return newest.author if several else ""
