"""The built-in texts, in Spanish and in English.

Customers read the apologies and notices; agents and the model read the rest. Everything else that a
customer reads was written by the model or by a person of the business. Each text can be replaced in
the configuration (table ``[texts]``).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType


@dataclass(frozen=True, kw_only=True)
class Texts:
    """All texts of one language."""

    apology: str
    """To the customer, when there is no answer; a person or a later turn will follow."""
    unclear: str
    """To the customer, when the model's answer must not be sent."""
    expired: str
    """To the customer, once a chat, for messages that are too old to be answered."""
    too_long: str
    """To the customer, for a message too long to be read."""
    escalation: str
    """To the agents, when a chat is handed to them: a template with ``{urgency}``, ``{name}``,
    ``{chat}``, ``{reason}``, ``{summary}`` and ``{link}``."""
    budget: str
    """To the customer, once a day, when the budget of the day is spent."""
    document: str
    """To the customer, with a very long answer sent as a document."""
    document_name: str
    """The name of that document's file, without its extension."""
    overdue: str
    """To the customer, once, when a person was asked for and none has written in time."""
    closed: str
    """To the customer, who is handed to a person outside of opening hours: a template with
    ``{opens}``."""
    call: str
    """To the customer, after a missed call, if the configuration says so."""
    opted_out: str
    """To a customer who opted out: a template with ``{word}``, the word that opts in again."""
    opted_in: str
    """To a customer who opted in again."""
    agent_note: str
    """In the thread, before the words of an agent: a template with ``{name}``."""
    date_label: str
    """This and the next five label the model's context line."""
    time_label: str
    contact_label: str
    chat_label: str
    channel_label: str
    labels_label: str

    def opted_out_with(self, word: str) -> str:
        """The confirmation, with the word that opts in again."""
        return self.opted_out.replace("{word}", word)

    def closed_until(self, opens: str) -> str:
        """The text outside of opening hours."""
        return self.closed.replace("{opens}", opens)

    def note_of(self, name: str) -> str:
        """Write the agent note for the agent ``name``."""
        # Not str.format: a name or a configured text may hold braces.
        return self.agent_note.replace("{name}", name)


_BUILT_IN = MappingProxyType(
    {
        "es": Texts(
            apology=(
                "Disculpa, en este momento no puedo responderte."
                " Ya recibimos tu mensaje y te contestaremos lo antes posible."
            ),
            unclear="Disculpa, no te entendí bien. ¿Me lo puedes decir con otras palabras?",
            expired=(
                "Disculpa la demora: no pudimos responder a tiempo tus mensajes anteriores."
                " Si todavía necesitas algo, escríbenos y con gusto te ayudamos."
            ),
            too_long="Tu mensaje es muy largo. ¿Me lo puedes enviar resumido o en partes?",
            escalation=(
                "{urgency} *{name}* necesita a una persona\n{chat}\n*Motivo:* {reason}"
                "\n*Resumen:* {summary}\n{link}"
            ),
            budget=(
                "Por hoy no puedo seguir respondiéndote por aquí."
                " Ya recibimos tu mensaje y una persona del equipo te escribirá."
            ),
            document="Te envío la respuesta completa en este documento.",
            document_name="respuesta",
            overdue=(
                "Disculpa la espera: ninguna persona del equipo ha podido escribirte todavía."
                " Tu mensaje sigue pendiente y te responderemos; si necesitas algo más, escríbeme."
            ),
            closed=(
                "En este momento nuestro equipo no está; vuelve {opens}. Tu mensaje queda"
                " pendiente y una persona te escribirá."
            ),
            call=(
                "Hola, por aquí no podemos contestar llamadas."
                " Escríbenos, por favor, en qué te podemos ayudar."
            ),
            opted_out=(
                "Listo, no te volveremos a escribir por iniciativa nuestra. Si tú nos escribes, te"
                " respondemos. Para volver a recibir nuestros mensajes, escribe {word}."
            ),
            opted_in="Listo, volverás a recibir nuestros mensajes.",
            agent_note="[Mensaje manual de {name}]",
            date_label="Fecha",
            time_label="Hora",
            contact_label="Contacto",
            chat_label="Chat",
            channel_label="Canal",
            labels_label="Etiquetas",
        ),
        "en": Texts(
            apology=(
                "Sorry, I cannot answer you right now."
                " We have your message and will reply as soon as possible."
            ),
            unclear="Sorry, I did not quite understand. Could you say it in other words, please?",
            expired=(
                "Sorry for the delay: we could not answer your earlier messages in time."
                " If you still need anything, please write to us and we will gladly help."
            ),
            too_long="Your message is very long. Could you shorten it or send it in parts, please?",
            escalation=(
                "{urgency} *{name}* needs a person\n{chat}\n*Reason:* {reason}"
                "\n*Summary:* {summary}\n{link}"
            ),
            budget=(
                "I cannot answer any more messages here today."
                " We have your message, and someone from our team will write to you."
            ),
            document="I am sending you the full answer in this document.",
            document_name="answer",
            overdue=(
                "Sorry for the wait: nobody from our team has been able to write to you yet. Your"
                " message will still be answered; if you need anything else, just write to me."
            ),
            closed=(
                "Our team is not here right now; it is back {opens}. Your message is noted, and"
                " somebody will write to you."
            ),
            call="Hello, we cannot take calls here. Please write to us and tell us what you need.",
            opted_out=(
                "Done, you will get no more messages from us unless you write first; then we will"
                " answer. To get our messages again, write {word}."
            ),
            opted_in="Done, you will get our messages again.",
            agent_note="[Message written by {name}]",
            date_label="Date",
            time_label="Time",
            contact_label="Contact",
            chat_label="Chat",
            channel_label="Channel",
            labels_label="Labels",
        ),
    }
)


def texts(language: str, own: Mapping[str, str] = MappingProxyType({})) -> Texts:
    """Return the texts of ``language`` (``es`` or ``en``), with a business's ``own`` wording.

    ``own`` maps field names to texts; an empty one keeps the built-in text. Raises KeyError for
    another language and TypeError for an unknown name; the settings exclude both.
    """
    return replace(_BUILT_IN[language], **{name: text for name, text in own.items() if text})
