"""The events of the log, with their lines for people. Pure.

Each kind of event has one name in every language and output (``event`` in JSON, ``RECADO_EVENT`` in
the journal), one level, one line for people in each language, and a ``MESSAGE_ID`` that never
changes (systemd.journal-fields(7)). Other lines (``log.info("words")``) count as `NOTE`, `WARNING`,
`ERROR` or `ALERT` by their level.

The templates are for ``str.format_map``. ``{who}`` is the customer's name, or the masked number
without one. ``systemd/recado.catalog`` says what the events mean to an operator. In JSON and in
the journal, a field has the same value in every language, for machines; the line for people words
it: an outcome in words, a number with its noun, a cost if there is one.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from string import Formatter
from typing import Literal

from daemon.domain.ids import local_part

# -- values in the line for people -----------------------------------------------------------------


Phrasing = Callable[[Mapping[str, object], Literal["es", "en"]], Mapping[str, object]]
"""Returns the fields of an event that have other words in the line for people."""

_OUTCOMES = {
    "answered": ("respondido", "answered"),
    "ignored": ("sin respuesta", "not answered"),
    "handed_off": ("en manos de una persona", "left to a person"),
    "expired": ("vencido sin respuesta", "expired without an answer"),
    "dead": ("abandonado sin respuesta", "given up without an answer"),
    "interrupted": ("interrumpido, sigue después", "interrupted, goes on later"),
    "crashed": ("cortado por una falla", "broken off by a fault"),
}
_NOUNS = {
    "messages": (("mensaje", "mensajes"), ("message", "messages")),
    "rounds": (("ronda", "rondas"), ("round", "rounds")),
    "tools": (("función", "funciones"), ("tool", "tools")),
}
_KINDS = {
    "audio": "audio",
    "buttons": "botones",
    "contact": "contacto",
    "contact_list": "contactos",
    "document": "documento",
    "gif": "GIF",
    "interactive": "menú",
    "list": "lista",
    "live_location": "ubicación en vivo",
    "location": "ubicación",
    "order": "pedido",
    "poll": "encuesta",
    "product": "producto",
    "reply": "elección",
    "short": "videomensaje",
    "sticker": "sticker",
    "video": "video",
}
"""WhatsApp's types in Spanish; in English they are words already, except for the underscore."""
_KINDS_BY_WORD = {words: kind for kind, words in _KINDS.items()}


def turn_words(fields: Mapping[str, object], language: Literal["es", "en"]) -> Mapping[str, object]:
    """Word how a turn ended and what it used."""
    place = 0 if language == "es" else 1
    worded: dict[str, object] = {}
    outcome = str(fields.get("outcome", ""))
    worded["outcome"] = _OUTCOMES[outcome][place] if outcome in _OUTCOMES else outcome
    for name, nouns in _NOUNS.items():
        count = fields.get(name, 0)
        worded[name] = f"{count} {nouns[place][count != 1]}"
    cost = fields.get("cost")
    spent = f"{cost:.6f}".rstrip("0").rstrip(".") if isinstance(cost, float | int) and cost else ""
    worded["cost"] = f", {('costo', 'cost')[place]} {spent}" if spent else ""
    return worded


def kind_words(fields: Mapping[str, object], language: Literal["es", "en"]) -> Mapping[str, object]:
    """Word what was received."""
    kind = str(fields.get("kind", ""))
    words = kind.replace("_", " ")
    return {"kind": _KINDS.get(kind, words) if language == "es" else words}


Level = Literal["debug", "info", "warning", "error", "critical"]
Language = Literal["es", "en"]

SHOWN_CHARACTERS = 60
"""How much of a message a line shows: enough to recognise it."""

MOST_LOGGED = 240
"""How much of a message is passed to the log. It is masked first and cut last, so that no half of a
number is left."""

CONTEXT_FIELDS = frozenset({"chat", "number", "turn", "task", "request", "name", "exc_info"})
"""Fields that any event may have: what it is about, and the exception behind it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class EventKind:
    """One kind of event; the ones below are all there are."""

    name: str
    symbol: str
    level: Level = "info"
    message_id: str
    """128 random bits as 32 hexadecimal digits; it never changes."""
    es: str = ""
    """The line in Spanish; words in braces are fields. Empty for lines in free words."""
    en: str = ""
    more: frozenset[str] = frozenset()
    """Fields besides those of the line."""
    phrasing: Phrasing | None = None
    """Words some of its fields for the line."""
    feeds_dashboard: bool = False
    """True if the dashboard's live log shows it: the conversation, and what interrupts it."""
    per_minute: int = 0
    """At most this many lines are written in a minute, the rest is counted; 0: no limit."""

    def template(self, language: Language) -> str:
        """The line in a language."""
        return self.es if language == "es" else self.en

    def line(self, language: Language, fields: Mapping[str, object]) -> str:
        """The line for people, with ``fields`` filled in."""
        worded = self.phrasing(fields, language) if self.phrasing else {}
        return self.template(language).format_map(_Shown({**fields, **worded}))

    def translated(self, line: str, language: str, *, error: Callable[[str], str] = str) -> str:
        """A line for people in this language, whatever its own is; ``error`` words its error.

        One that has been written otherwise stays as it is.
        """
        for shape in self._shapes:
            if found := shape.fullmatch(line):
                fields = dict(found.groupdict())
                if "error" in fields:
                    fields["error"] = error(fields["error"])
                if self.phrasing is kind_words:
                    fields["kind"] = _KINDS_BY_WORD.get(
                        fields["kind"], fields["kind"].replace(" ", "_")
                    )
                return self.line("es" if language == "es" else "en", fields)
        return line

    @cached_property
    def _shapes(self) -> tuple[re.Pattern[str], ...]:
        """What its lines look like in each language."""
        return tuple(
            re.compile(
                "".join(
                    re.escape(words) + (f"(?P<{name}>.*?)" if name else "")
                    for words, name, _, _ in Formatter().parse(template)
                ),
                re.DOTALL,
            )
            for template in (self.es, self.en)
            if template
        )

    @cached_property
    def fields(self) -> frozenset[str]:
        """The names of all fields that the event may have, except the common ones."""
        parts = Formatter().parse(self.en + self.es)
        return self.more | {name for _, name, _, _ in parts if name} - {"who"}


class _Shown(dict[str, object]):
    """The fields of a line for people: ``who`` is computed, missing ones are empty."""

    def __missing__(self, name: str) -> object:
        if name != "who":
            return ""
        chat = str(self.get("chat", ""))
        return self.get("name") or local_part(chat)


# -- the conversation ----------------------------------------------------------------------------

MESSAGE = EventKind(
    name="message",
    symbol="👤",
    message_id="e9e2f563d71f45ae9e9b962a3307cfa3",
    es='{who}: "{text}"',
    en='{who}: "{text}"',
    more=frozenset({"kind"}),
    feeds_dashboard=True,
    # Of more than 10,000 lines in 30 seconds journald drops all that come, errors too
    # (RateLimitBurst= in journald.conf(5)).
    per_minute=5000,
)
VOICE = EventKind(
    name="voice",
    symbol="🎤",
    message_id="0927b948548c4888951a4f6715dcdee6",
    es="{who}: [Nota de voz recibida]",
    en="{who}: [Voice note received]",
    more=frozenset({"kind", "seconds"}),
    feeds_dashboard=True,
)
IMAGE = EventKind(
    name="image",
    symbol="📷",
    message_id="9315ceaad3e34144a3ca31e122f4ce80",
    es="{who}: [Imagen recibida]",
    en="{who}: [Image received]",
    more=frozenset({"kind", "text"}),
    feeds_dashboard=True,
)
MEDIA = EventKind(
    name="media",
    symbol="📎",
    message_id="ee0e8758b3ea4cfeb69308ad0f78654c",
    es="{who}: [Recibido: {kind}]",
    en="{who}: [Received: {kind}]",
    more=frozenset({"text"}),
    phrasing=kind_words,
    feeds_dashboard=True,
)
TYPING = EventKind(
    name="typing",
    symbol="✍️",
    message_id="10a9131fd4d5466fbc946c7ce1de2466",
    es="{who} está escribiendo…",
    en="{who} is typing…",
    per_minute=20,
)
RECORDING = EventKind(
    name="recording",
    symbol="🎙️",
    message_id="ee858f3256f949eca14e386d70724c17",
    es="{who} está grabando…",
    en="{who} is recording…",
    per_minute=20,
)
NEW_CONVERSATION = EventKind(
    name="new conversation",
    symbol="📨",
    message_id="c8cd3944c288455d9d560680c523fdf5",
    es="Nueva conversación con {who}",
    en="New conversation with {who}",
    feeds_dashboard=True,
)
RESPONSE = EventKind(
    name="response",
    symbol="🤖",
    message_id="eac17d65e99e4fefab6c62e3f7de5c59",
    es='OpenAI → {who} ({seconds} s): "{text}"',
    en='OpenAI → {who} ({seconds} s): "{text}"',
    feeds_dashboard=True,
)
VOICE_RESPONSE = EventKind(
    name="voice response",
    symbol="🎤",
    message_id="3ce33fa9937148f789fe99ced24bd0b2",
    es='Nota de voz → {who}: "{text}"',
    en='Voice note → {who}: "{text}"',
    more=frozenset({"seconds"}),
    feeds_dashboard=True,
)
MANUAL_MESSAGE = EventKind(
    name="an agent writes",
    symbol="👥",
    message_id="3f5618ea36c04ed1a462e7b624bf88eb",
    es="Una persona del equipo escribe a {who}",
    en="A person from the team writes to {who}",
    feeds_dashboard=True,
)
TAKEOVER = EventKind(
    name="taken over",
    symbol="🙋",
    message_id="23e6926580a047ba8959c6c013d5cfcb",
    es="Una persona del equipo toma el chat con {who}: el bot calla",
    en="A person from the team takes over the chat with {who}: the bot is silent",
    feeds_dashboard=True,
)
HANDED_TO_PERSON = EventKind(
    name="chat handed to a person",
    symbol="🙋",
    level="warning",
    message_id="0faba2c8e7e3427da9d923709c2a44c0",
    es="El bot pasa a {who} a una persona",
    en="The bot hands {who} to a person",
    feeds_dashboard=True,
)
NO_AGENT_WROTE = EventKind(
    name="no agent wrote",
    symbol="🚨",
    level="warning",
    message_id="a71e2c078e294bf8824ef96c8d1b7538",
    es="{who} sigue esperando a una persona: nadie escribió durante la pausa",
    en="{who} is still waiting for a person: nobody wrote during the pause",
    feeds_dashboard=True,
)
TURN_ENDED = EventKind(
    name="turn ended",
    symbol="🏁",
    message_id="c3f39b78119b4073a6bff6fcea7d3f65",
    es=(
        "{who}: turno {turn}: {outcome}; {seconds} s, {messages}, {rounds}, {tools}, "
        "{tokens_in} + {tokens_out} tokens{cost}"
    ),
    en=(
        "{who}: turn {turn}: {outcome}; {seconds} s, {messages}, {rounds}, {tools}, "
        "{tokens_in} + {tokens_out} tokens{cost}"
    ),
    more=frozenset({"stages", "tools_failed"}),
    phrasing=turn_words,
)

# -- tools and other services --------------------------------------------------------------------

FUNCTION_STARTED = EventKind(
    name="tool started",
    symbol="⚙️",
    message_id="529abbd34561447eaa85c9b9c21ca0aa",
    es="{tool}()",
    en="{tool}()",
    more=frozenset({"call"}),
)
FUNCTION_ENDED = EventKind(
    name="tool ended",
    symbol="⚙️",
    message_id="c38548e7e51c493998216f5f18abcf2e",
    es="{tool} → listo ({seconds} s)",
    en="{tool} → done ({seconds} s)",
    more=frozenset({"call"}),
)
FUNCTION_FAILED = EventKind(
    name="tool failed",
    symbol="❌",
    level="warning",
    message_id="aa8816e763854d48889058c3758a4e8d",
    es="Error en función {tool} ({seconds} s)",
    en="Error in function {tool} ({seconds} s)",
    more=frozenset({"call", "error"}),
)
EXTERNAL_CALL = EventKind(
    name="external call",
    symbol="🔗",
    level="debug",
    message_id="8291ed6d0fd34f22a221cf4503594721",
    es="{service} → {operation} → {outcome} ({seconds} s)",
    en="{service} → {operation} → {outcome} ({seconds} s)",
)
MODEL_ERROR = EventKind(
    name="model error, trying again",
    symbol="❌",
    level="warning",
    message_id="af1df9c6057d4692a1f7b4f724a06db9",
    es="Error de OpenAI con {who}: {error}; intento {attempt}, otro en {wait} s",
    en="OpenAI error with {who}: {error}; attempt {attempt}, next in {wait} s",
)
TURN_GIVEN_UP = EventKind(
    name="turn given up",
    symbol="❌",
    level="error",
    message_id="cf0d3357270143fd8e2b053029abe117",
    es="Sin respuesta para {who}: {error}",
    en="No answer for {who}: {error}",
    feeds_dashboard=True,
)
GATEWAY_ERROR = EventKind(
    name="whapi error",
    symbol="❌",
    level="warning",
    message_id="54478740a53740cf9a66d949e13711e1",
    es="Error del gateway ({operation}): {error}",
    en="Gateway error ({operation}): {error}",
    more=frozenset({"outbox"}),
    per_minute=60,
)
IMAGE_ERROR = EventKind(
    name="image error",
    symbol="❌",
    level="warning",
    message_id="9789dce1b76a49feb7c224a6ffd5aaa9",
    es="Error al procesar imagen de {who}: {error}",
    en="Error with an image of {who}: {error}",
    more=frozenset({"kind", "outbox", "what"}),
)
FILE_ERROR = EventKind(
    name="file error",
    symbol="❌",
    level="warning",
    message_id="2b55c3131e67402f8d8ea919f0f1c35e",
    es="Error al procesar archivo de {who}: {error}",
    en="Error with a file of {who}: {error}",
    more=frozenset({"kind", "outbox", "what"}),
)
VOICE_ERROR = EventKind(
    name="voice error",
    symbol="❌",
    level="warning",
    message_id="750ddec37a95454f9ba96a0b88b9c162",
    es="Error al procesar audio de {who}: {error}",
    en="Error with a voice note of {who}: {error}",
    more=frozenset({"kind", "outbox", "what"}),
)

# -- the daemon ----------------------------------------------------------------------------------

STARTED = EventKind(
    name="ready",
    symbol="🚀",
    message_id="0795be9f021d4687ac3fd52cb63a76b0",
    es="Recado {version} listo ({environment}) en {address}; webhook: {webhook}",
    en="Recado {version} is ready ({environment}) at {address}; webhook: {webhook}",
    feeds_dashboard=True,
)
STOPPING = EventKind(
    name="stopping",
    symbol="🛑",
    message_id="66fb2660a68a4a9486a820d456c1deda",
    es="Recado se está deteniendo",
    en="Recado is stopping",
    feeds_dashboard=True,
)
STOPPED = EventKind(
    name="stopped",
    symbol="👋",
    message_id="fc2b4e987ed64aa8bd363ef24a5c5417",
    es="Recado se detuvo en {seconds} s",
    en="Recado stopped in {seconds} s",
)
EARLIER_END = EventKind(
    name="the last process did not end cleanly",
    symbol="⚠️",
    level="warning",
    message_id="0c7a1f5d2b9e4d6fa3c88e1b7f60d254",
    es="El proceso anterior no terminó limpiamente: {how}",
    en="The last process did not end cleanly: {how}",
)
RECOVERING = EventKind(
    name="recovering",
    symbol="♻️",
    message_id="5ad822335f6e4cb79e78edc1bd9bfdb5",
    es="Retomando el chat con {who}",
    en="Resuming the chat with {who}",
)
UNEXPECTED_ERROR = EventKind(
    name="unexpected error",
    symbol="💥",
    level="error",
    message_id="3edc6b43824f4799969f3e5b58c5a9f2",
    es="Error inesperado ({where}): {what}",
    en="Unexpected error ({where}): {what}",
    more=frozenset({"error", "path"}),
    per_minute=30,
)
MODEL_DOWN = EventKind(
    name="model server is down",
    symbol="🚨",
    level="error",
    message_id="75fce51e488f4683856cf0a1c1233617",
    es="OpenAI no responde: {error}",
    en="OpenAI does not answer: {error}",
    feeds_dashboard=True,
)
MODEL_REFUSES = EventKind(
    name="model refuses every request",
    symbol="🚨",
    level="error",
    message_id="d1440cbd5c104a77b47c8ede773ec5e7",
    es="OpenAI rechaza todas las solicitudes: {error}",
    en="OpenAI refuses every request: {error}",
    feeds_dashboard=True,
)
MODEL_BACK = EventKind(
    name="model server is back",
    symbol="✅",
    message_id="f356d59445254467a506adad96ce13a5",
    es="OpenAI responde de nuevo",
    en="OpenAI answers again",
    feeds_dashboard=True,
)
CHANNEL_TROUBLE = EventKind(
    name="channel trouble, sends are held",
    symbol="🚨",
    level="error",
    message_id="7b68e5b756b84aef97d337946e50a44d",
    es="El canal de WhatsApp falla, los envíos esperan: {error}",
    en="The WhatsApp channel is failing, sends are held: {error}",
    feeds_dashboard=True,
)
CHANNEL_BACK = EventKind(
    name="channel is back, sends go on",
    symbol="✅",
    message_id="def89d299b904e158f22657ecf76b39d",
    es="El canal de WhatsApp volvió, los envíos siguen",
    en="The WhatsApp channel is back, sends go on",
    feeds_dashboard=True,
)
BUDGET_SPENT = EventKind(
    name="the budget of the day is spent",
    symbol="🚨",
    level="error",
    message_id="138c313779024474874912fb56dd3e7f",
    es="Se agotó el presupuesto del día {day}",
    en="The budget of {day} is used up",
    feeds_dashboard=True,
)

REPEATED = EventKind(
    name="repeated",
    symbol="…",
    message_id="625cb643f5b5400185581300441ea82d",
    es="… y {count} más en {period} s: {what}",
    en="… and {count} more in {period} s: {what}",
)

# -- who calls ------------------------------------------------------------------------------------

SECRET_REFUSED = EventKind(
    name="a wrong secret was refused",
    symbol="🔒",
    level="warning",
    message_id="b0b4d563f7014e263a567387ba4e836d",
    es="Secreto equivocado ({what}) desde {address}",
    en="Wrong secret ({what}) from {address}",
    per_minute=20,
)
SIGNED_IN = EventKind(
    name="signed in",
    symbol="🔑",
    message_id="823e5d42d8f82d3686c5880faea65212",
    es="Entró al panel alguien desde {address}",
    en="Someone signed in to the dashboard from {address}",
)
CROWDED = EventKind(
    name="a connection was closed to make room",
    symbol="🚪",
    level="warning",
    message_id="f9669d94fe0616499539c2cb9376ca8f",
    es="Se cerró una conexión de {address} para dar lugar a otra ({full})",
    en="A connection from {address} was closed to make room for another ({full})",
    per_minute=5,
)

# -- everything else, by its level ----------------------------------------------------------------

NOTE = EventKind(
    name="note",
    symbol="•",
    message_id="2466451bde424831b3e4c3fc74069e52",
)
WARNING = EventKind(
    name="warning",
    symbol="⚠️",
    level="warning",
    message_id="f00dc5b5c4584f6f82d82a9bc5b29503",
    per_minute=60,
)
ERROR = EventKind(
    name="error",
    symbol="❌",
    level="error",
    message_id="043426d296464f66a5e3bdc725334449",
    per_minute=60,
)
ALERT = EventKind(
    name="alert",
    symbol="🚨",
    level="critical",
    message_id="c5b332271d8942ffb613f72ad1387627",
)

ALL: tuple[EventKind, ...] = tuple(
    value for value in list(globals().values()) if isinstance(value, EventKind)
)
"""Every kind there is, in the order above."""

DASHBOARD = frozenset(kind for kind in ALL if kind.feeds_dashboard)
"""The kinds that the dashboard's live log shows."""

PLAIN: dict[str, EventKind] = {
    "debug": NOTE,
    "info": NOTE,
    "warning": WARNING,
    "error": ERROR,
    "critical": ALERT,
}
"""The kind of a line in free words, by its level."""
