"""The few texts that the daemon says by itself, in Spanish and in English.

Customers read the apologies and notices; the model reads the rest. Everything else that a customer
reads was written by the model or by a person of the business. Each text can be replaced in the
configuration (table ``[texts]``).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType


@dataclass(frozen=True, kw_only=True)
class Texts:
    """All texts of one language."""

    apology: str
    """To the customer, when no answer could be made; a person or a later turn will follow."""
    unclear: str
    """To the customer, when the model answered something that is not fit to be sent."""
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
    """To the customer, with the document that a very long answer becomes."""
    document_name: str
    """Of that document's file, without its ending."""
    overdue: str
    """To the customer, once, when a person was asked for and none has written in time."""
    call: str
    """To the customer, after a missed call, where the configuration wants it."""
    opted_out: str
    """To the customer, who wants no more messages: a template with ``{word}``, which undoes it."""
    opted_in: str
    """To the customer, who wants them again."""
    agent_note: str
    """In the thread, before the words of an agent: a template with ``{name}``."""
    date_label: str
    """These six label the context line that the model is given."""
    time_label: str
    contact_label: str
    chat_label: str
    channel_label: str
    labels_label: str

    def opted_out_with(self, word: str) -> str:
        """The confirmation that names the word which undoes it."""
        return self.opted_out.replace("{word}", word)

    def note_of(self, name: str) -> str:
        """Write the agent note for the agent ``name``."""
        # Not str.format: a name or an own wording may hold braces.
        return self.agent_note.replace("{name}", name)


_BUILT_IN = MappingProxyType(
    {
        "es": Texts(
            apology=(
                "Disculpa, en este momento no puedo responderte."
                " Ya recibimos tu mensaje y te contestaremos lo antes posible."
            ),
            unclear="Disculpa, no te entendí bien. ¿Me lo dices con otras palabras, por favor?",
            expired=(
                "Disculpa la demora: no pudimos responder a tiempo tus mensajes anteriores."
                " Si todavía necesitas algo, escríbenos y te ayudamos."
            ),
            too_long="Tu mensaje es muy largo. ¿Me lo envías resumido o en partes, por favor?",
            escalation=(
                "{urgency} *{name}* necesita a una persona\n{chat}\n*Motivo:* {reason}"
                "\n*Resumen:* {summary}\n{link}"
            ),
            budget=(
                "Por hoy no puedo seguir respondiéndote por aquí."
                " Ya tenemos tu mensaje y una persona del equipo te escribirá."
            ),
            document="Te envío la respuesta completa en este documento.",
            document_name="respuesta",
            overdue=(
                "Disculpa la espera: todavía no te ha podido escribir una persona del equipo."
                " Tu mensaje sigue pendiente y te responderemos; si necesitas algo más, escríbeme."
            ),
            call=(
                "Hola, por aquí no podemos contestar llamadas."
                " ¿Nos escribes, por favor, en qué te podemos ayudar?"
            ),
            opted_out=(
                "Listo, no te volveremos a escribir por nuestra cuenta. Si tú nos escribes, te"
                " respondemos. Para volver a recibir mensajes, escribe {word}."
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
            unclear="Sorry, I did not quite understand. Could you put it in other words, please?",
            expired=(
                "Sorry for the delay: we could not answer your earlier messages in time."
                " If you still need anything, write to us and we will help."
            ),
            too_long="Your message is very long. Could you shorten it or send it in parts, please?",
            escalation=(
                "{urgency} *{name}* needs a person\n{chat}\n*Reason:* {reason}"
                "\n*Summary:* {summary}\n{link}"
            ),
            budget=(
                "I cannot go on answering you here today."
                " We have your message, and a person of the team will write to you."
            ),
            document="I am sending you the whole answer in this document.",
            document_name="answer",
            overdue=(
                "Sorry for the wait: nobody of the team could write to you yet. Your message is"
                " still waiting and will be answered; if you need anything else, write to me."
            ),
            call="Hello, we cannot take calls here. Could you write to us what you need, please?",
            opted_out=(
                "Done, we will not write to you on our own any more. If you write to us, we answer."
                " To get messages again, write {word}."
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

    ``own`` maps field names to texts; empty ones leave the built-in text. Raises KeyError for
    another language, TypeError for an unknown name; the settings have excluded both.
    """
    return replace(_BUILT_IN[language], **{name: text for name, text in own.items() if text})
