"""Answers of the simulated model: sensible without a model, the same for the same input.

Pure: input items and tools in, outputs out. It is meant to make Recado's behaviour visible (bursts
answered as one, tools called, long replies split), not to appear intelligent.
"""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from daemon.sandbox.model_media import perceived
from daemon.sandbox.model_wire import CallTool, Output, Say

Item = Mapping[str, Any]

ENGLISH = re.compile(
    r"\b(the|is|are|you|do|have|hello|hi|hey|good|morning|thanks|thank|what|when|where|how|much|for"
    r"|need|want|would|like|please|my|your|any|room|remind|to|information|about|talk|did|we|and)\b"
)
SPANISH = re.compile(
    r"\b(el|la|los|las|es|son|tiene|tienen|hola|buen[oa]s|d[ií]as|gracias|qu[eé]|cu[aá]ndo"
    r"|d[oó]nde|c[oó]mo|cu[aá]nto|para|por|quiero|necesito|quisiera|favor|mi|su|hay|una?|de|me|y"
    r"|informaci[oó]n|sobre|hablamos)\b"
)
"""Words by which a language is recognised."""

PHRASES: Mapping[str, Mapping[str, str]] = {
    "es": {
        "one": "¡Hola! Entendí: {first}.",
        "many": "¡Hola! Recibí tus {count} mensajes: {all}.",
        "ask": "¿En qué más te puedo ayudar?",
        "found": "Esto fue lo que encontré:\n\n{output}\n\n¿Quieres que sigamos con eso?",
        "unknown": "Eso no lo sé. ¿Quieres que te escriba una persona del equipo?",
        "thanks": "¡Con mucho gusto! Aquí estoy si necesitas algo más. ¿Algo más por hoy?",
        "nothing": "tu mensaje",
        "and": " y ",
        "info": (
            "¡Claro que sí! Te cuento cómo funciona.\n\n"
            "Esto es lo que ofrecemos:\n- Atención todos los días de 8 a 20 h\n"
            "- Reservas por este mismo chat\n- Pagos en línea o en el sitio\n\n"
            "Para reservar solo necesito tus fechas y cuántas personas son. "
            "La confirmación llega por aquí en pocos minutos.\n\n"
            "¿Qué te gustaría saber primero?"
        ),
        "handed": "Claro. Enseguida te escribe por aquí una persona de nuestro equipo.",
    },
    "en": {
        "one": "Hello! I understood: {first}.",
        "many": "Hello! I got your {count} messages: {all}.",
        "ask": "What else can I do for you?",
        "found": "This is what I found:\n\n{output}\n\nShall we go on with that?",
        "unknown": "I do not know that. Shall somebody of our team write to you?",
        "thanks": "You are welcome! I am here if you need anything else. Anything more today?",
        "nothing": "your message",
        "and": " and ",
        "info": (
            "Of course! Let me tell you how it works.\n\n"
            "This is what we offer:\n- Service every day from 8 am to 8 pm\n"
            "- Bookings in this very chat\n- Payment online or on site\n\n"
            "To book I only need your dates and how many people are coming. "
            "The confirmation reaches you here within minutes.\n\n"
            "What would you like to know first?"
        ),
        "handed": "Of course. Somebody of our team will write to you here.",
    },
}

INTENTS: Sequence[tuple[str, re.Pattern[str]]] = (
    (
        "get_conversation_context",
        re.compile(
            r"qu[eé] hablamos|historial|what did we talk|our history|earlier chat", re.IGNORECASE
        ),
    ),
    (
        "check_availability",
        re.compile(r"disponib|availab|hay (cupo|lugar)|any rooms?\b", re.IGNORECASE),
    ),
    (
        "escalate_to_human",
        re.compile(r"asesor|persona real|un humano|real person|a human\b", re.IGNORECASE),
    ),
    ("remind", re.compile(r"recu[eé]rd[ea](me|nos)|\bremind\b", re.IGNORECASE)),
)
"""Tools that the simulated model knows, and the words that make it call them, if offered."""

DUE = re.compile(r"\b(\d\d?):(\d\d)\b")
REMINDED = re.compile(r"\b(?:to|about|que|de) (.+)", re.IGNORECASE | re.DOTALL)
"""The time of a reminder in the customer's words, and what it is to say."""

START = re.compile(r"date|start|arriv|check.?in|desde|entrada|llegada", re.IGNORECASE)
"""Names of parameters that ask for the first day of a stay."""

OUTPUT_CHARACTERS = 1500
NO_DATE = date(2030, 1, 15)
"""Start of a stay where nothing in the input names a date."""


RULE = re.compile(
    r"^[-•* ]*(?:si preguntan por|si piden|when asked about|when asked for) (.+?): (.+)$",
    re.IGNORECASE | re.MULTILINE,
)
"""A line of the instructions that the simulated model follows: words of the customer in quotation
marks, and after the colon its answer in quotation marks, or the name of a tool."""

QUOTED = re.compile(r"«([^»]*)»|\"([^\"]*)\"")

NAMED = (
    (re.compile(r"room|habitaci", re.IGNORECASE), re.compile(r"\b(\d{3})\b")),
    (re.compile(r"night|noche", re.IGNORECASE), re.compile(r"\b(\d{1,2}) (?:noche|night)")),
    (
        re.compile(r"guest|name|nombre", re.IGNORECASE),
        re.compile(r"(?:a nombre de|under the name|in the name of) (\w+(?: [A-ZÁÉÍÓÚÑ]\w+)?)"),
    ),
)
"""Parameters of tools, and what a customer writes for them."""


def answer(
    items: Sequence[Item], tools: Sequence[Item], instructions: str = ""
) -> tuple[Output, ...]:
    """Return what the model says to an input, given the tools it is offered.

    Of the ``instructions`` it follows the lines that `RULE` knows, and no other.
    """
    everything = " ".join(customer_burst(items)[0])
    if "<sentence>" in everything:
        return (Say(judgement(everything)),)
    if "</a>" in everything:
        return (Say(preference(everything)),)
    language = language_of(everything)
    phrases = PHRASES[language]
    if outputs := trailing_outputs(items):
        if _last_call(items) == "escalate_to_human":
            return (Say(phrases["handed"]),)
        told = "\n\n".join(filter(None, outputs))
        return (Say(phrases["found"].format(output=told) if told else phrases["unknown"]),)
    offered = {str(tool.get("name")): tool for tool in tools if tool.get("type") == "function"}
    if "set_topic" in offered:
        return (
            CallTool("set_topic", json.dumps({"topic": topic_of(items, offered["set_topic"])})),
        )
    ruled = _ruled(everything, instructions, offered)
    if ruled and ruled not in offered:
        return (Say(ruled),)
    if name := ruled or _tool_for(everything, offered):
        schema = offered[name].get("parameters") or {}
        arguments = _reminder(items) if name == "remind" else arguments_for(schema, items)
        return (CallTool(name, json.dumps(arguments, ensure_ascii=False)),)
    if re.search(r"\binfo\b|informaci[oó]n|\binformation\b", everything, re.IGNORECASE):
        return (Say(phrases["info"]),)
    if re.fullmatch(r"\W*(muchas )?(gracias|thanks|thank you)\W*", everything, re.IGNORECASE):
        return (Say(phrases["thanks"]),)
    return (Say(_understood(perceived(_burst_parts(items), language), phrases)),)


def judgement(text: str) -> str:
    """Return whether a sentence is true of a conversation, by the words that both have.

    Words in quotation marks must all be among those of the assistant; without any, half of the
    longer ones must. "not" and "no" turn it round.
    """
    conversation, _, sentence = text.partition("</conversation>")
    said = " ".join(
        line.lower() for line in conversation.splitlines() if not line.startswith("customer:")
    )
    quoted = [(a or b).lower() for a, b in QUOTED.findall(sentence)]
    longer = re.findall(r"[^\W_]{5,}", sentence.replace("sentence", "").lower())
    hits = [word in said for word in quoted or longer]
    holds = all(hits) if quoted else 2 * sum(hits) >= len(hits)
    if re.search(r"\b(no|not|never|nunca|sin|without)\b", sentence, re.IGNORECASE):
        holds = not holds
    return f"{'TRUE' if holds else 'FALSE'}\n{sum(hits)} of {len(hits)} words occur."


def preference(text: str) -> str:
    """Return which of two answers is better: the one that is not just "I understood"."""
    first, _, second = text.partition("</a>")
    lost = [bool(re.search(r"Entendí|I understood", one)) for one in (first, second)]
    better = "EQUAL" if lost[0] == lost[1] else "B" if lost[0] else "A"
    return f"{better}\nAn answer that only repeats the question helps nobody."


def topic_of(items: Sequence[Item], tool: Item) -> str:
    """Return the topic of which a word begins like one of the text; the last if none does."""
    text = " ".join(str(part.get("text", "")) for item in items for part in _parts(item)).lower()
    topics: list[str] = tool["parameters"]["properties"]["topic"]["enum"]
    hits = (
        name
        for name in topics
        if any(
            word[: min(5, len(word) - 2)] in text for word in re.findall(r"\w{5,}", name.lower())
        )
    )
    return next(hits, topics[-1])


def _ruled(text: str, instructions: str, offered: Mapping[str, Item]) -> str:
    """Return the answer, or the name of the tool, that a rule has for a text; empty if none has."""
    lower = text.lower()
    for words, action in RULE.findall(instructions):
        if any(word and word.lower() in lower for pair in QUOTED.findall(words) for word in pair):
            quoted = QUOTED.search(action)
            named = [name for name in offered if name in action]
            return named[0] if named else (quoted[1] or quoted[2]) if quoted else ""
    return ""


def _tool_for(text: str, offered: Mapping[str, Item]) -> str:
    """Return the tool to call for a customer's words, empty if none.

    A tool of an MCP server, ``server__free_tables``, is called if all words of its name occur;
    the documents are searched for any other question.
    """
    known = [name for name, words in INTENTS if name in offered and words.search(text)]
    words = set(re.findall(r"\w+", text.lower()))
    for name in offered:
        _, prefixed, own = name.partition("__")
        if prefixed and words.issuperset(own.lower().split("_")):
            known.append(name)
    if "search_knowledge" in offered and "?" in text:
        known.append("search_knowledge")
    return known[0] if known else ""


def customer_burst(items: Sequence[Item]) -> tuple[list[str], bool]:
    """Return the texts of the customer's last messages, and whether a picture is among them.

    These are the user's items after the last item of anybody else, tools aside. Of a text
    with a context head over it (closed by a line ``---``) only the words below are the customer's.
    Text between the program's marks, such as the
    context line, is not theirs.
    """
    parts = _burst_parts(items)
    texts = [str(part["text"]) for part in parts if part.get("text")]
    return texts, any(part.get("type") == "input_image" for part in parts)


def _burst_parts(items: Sequence[Item]) -> list[Item]:
    burst: list[Item] = []
    for item in reversed(items):
        if item.get("type") in {"function_call", "function_call_output", "reasoning"}:
            continue
        if item.get("role") == "assistant":
            break
        if item.get("role") == "user" and not _is_note(item):
            parts = [
                {**part, "text": _below_head(str(part["text"]))} if part.get("text") else part
                for part in _parts(item)
            ]
            burst[:0] = [part for part in parts if part.get("text") != ""]
    return burst


def _is_note(item: Item) -> bool:
    content = item.get("content")
    return isinstance(content, str) and content.startswith("<recado_data ")


def trailing_outputs(items: Sequence[Item]) -> list[str]:
    """Return the tool outputs at the end of the input, in order; none if the customer is last."""
    outputs: list[str] = []
    for item in reversed(items):
        if item.get("type") != "function_call_output":
            break
        output = item.get("output")
        text = output if isinstance(output, str) else json.dumps(output, ensure_ascii=False)
        outputs.insert(0, _worth_telling(text)[:OUTPUT_CHARACTERS])
    return outputs


def _worth_telling(output: str) -> str:
    """Return the best passage of a search, or what a remote tool said; else the output itself.

    Empty if a search has found nothing.
    """
    try:
        match json.loads(output):
            case {"passages": [{"text": str(text)}, *_]} | {"output": str(text)}:
                return text
            case {"passages": []}:
                return ""
    except ValueError:
        pass
    return output


def _last_call(items: Sequence[Item]) -> str:
    """Return the name of the function called last, empty if there is none."""
    calls = [item for item in items if item.get("type") == "function_call"]
    return str(calls[-1].get("name")) if calls else ""


def language_of(text: str) -> str:
    """Return ``en`` if more English than Spanish words are known in `text`, else ``es``."""
    lower = text.lower()
    return "en" if len(ENGLISH.findall(lower)) > len(SPANISH.findall(lower)) else "es"


def arguments_for(schema: Item, items: Sequence[Item]) -> dict[str, Any]:
    """Return arguments that satisfy a tool's JSON schema: its required ones, plausibly filled."""
    start, end = _stay(items)
    texts = " ".join(customer_burst(items)[0]) or "-"
    properties: Item = schema.get("properties") or {}
    arguments: dict[str, Any] = {}
    for name in schema.get("required") or ():
        kind = properties.get(name) or {}
        if re.search(r"end|check.?out|hasta|salida", name, re.IGNORECASE):
            arguments[name] = _value(kind, end.isoformat())
        elif kind.get("format") == "date" or START.search(name):
            arguments[name] = _value(kind, start.isoformat())
        elif (said := _said_for(name, texts)) is not None:
            arguments[name] = int(said) if kind.get("type") == "integer" else said
        else:
            arguments[name] = _value(kind, texts)
    return arguments


def _said_for(name: str, texts: str) -> str | None:
    """Return what a customer has written for a parameter; None if nothing."""
    for named, written in NAMED:
        if named.search(name) and (found := written.search(texts)):
            return found[1]
    return None


def _reminder(items: Sequence[Item]) -> dict[str, str]:
    """Return the arguments of `remind`: on the day and at the time named, else at nine."""
    texts = " ".join(customer_burst(items)[0])
    hour, minute = found.groups() if (found := DUE.search(texts)) else ("9", "00")
    what = REMINDED.search(texts)
    return {
        "when": f"{_stay(items)[0].isoformat()}T{hour:0>2}:{minute}",
        "text": what[1].strip() if what else texts,
        "cancel_on": "nothing",
    }


def _value(schema: Item, text: str) -> Any:
    """Return a value that a property's schema allows, `text` if it is a free string."""
    if schema.get("enum"):
        return schema["enum"][0]
    if schema.get("anyOf"):
        return _value(schema["anyOf"][0], text)
    kind = schema.get("type", "string")
    kind = kind[0] if isinstance(kind, list) else kind
    plain = {"integer": 1, "number": 1, "boolean": False, "array": [], "null": None, "object": {}}
    if kind == "object" and schema.get("properties"):
        inner = schema["properties"]
        return {name: _value(inner.get(name) or {}, text) for name in schema.get("required") or ()}
    return plain.get(kind, text)


def _stay(items: Sequence[Item]) -> tuple[date, date]:
    """Return the dates to ask for: those the customer names, else two nights from the latest.

    Dates are read as 2026-12-24 or 24/12/2026, in the customer's words and in any context line.
    """
    everything = " ".join(str(part.get("text") or "") for item in items for part in _parts(item))
    burst = " ".join(customer_burst(items)[0])
    named = _dates(burst) or _dates(everything)[-1:] or [NO_DATE]
    return named[0], named[1] if len(named) > 1 else named[0] + timedelta(days=2)


def _dates(text: str) -> list[date]:
    found: list[date] = []
    for match in re.finditer(r"(\d{4})-(\d\d)-(\d\d)|(\d\d?)/(\d\d?)/(\d{4})", text):
        year, month, day, day2, month2, year2 = match.groups()
        try:
            found.append(date(int(year or year2), int(month or month2), int(day or day2)))
        except ValueError:
            continue
    return found


def _understood(texts: Sequence[str], phrases: Mapping[str, str]) -> str:
    texts = texts or [phrases["nothing"]]
    if len(texts) == 1:
        return phrases["one"].format(first=texts[0]) + " " + phrases["ask"]
    listed = ", ".join(texts[:-1]) + phrases["and"] + texts[-1]
    return phrases["many"].format(count=len(texts), all=listed) + "\n\n" + phrases["ask"]


def _below_head(text: str) -> str:
    below = re.split(r"^-{3,}\s*$", text, flags=re.MULTILINE)[-1]
    return re.sub(r"^\s*Mensaje del cliente:\s*", "", below).strip()


def _parts(item: Item) -> list[Item]:
    content = item.get("content")
    if isinstance(content, str):
        return [{"type": "input_text", "text": content}]
    return [part for part in content or () if isinstance(part, Mapping)]
