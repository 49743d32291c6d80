"""What the events mean to an operator: ``journalctl -x`` shows it below the line. Pure.

``python -m daemon.observability.catalog`` writes ``systemd/recado.catalog`` from here; its format
is that
of systemd's own catalogs (CATALOG(7) of the systemd project: ``-- MESSAGE_ID``, headers, text).
"""

from types import MappingProxyType

from daemon.observability import events
from daemon.observability.events import ALL, EventKind

_STORY = (
    "All lines of the turn: journalctl -u recado RECADO_TURN=@RECADO_TURN@",
    "Todas las líneas del turno: journalctl -u recado RECADO_TURN=@RECADO_TURN@",
)

MEANINGS: MappingProxyType[EventKind, tuple[str, str]] = MappingProxyType(
    {
        events.MESSAGE: (
            "A customer has written. The message is stored; it is answered when the burst ends.",
            "Un cliente escribió. El mensaje está guardado; se responde al terminar la ráfaga.",
        ),
        events.VOICE: (
            "A customer has sent a voice note. It is stored.",
            "Un cliente envió una nota de voz. Está guardada.",
        ),
        events.IMAGE: (
            "A customer has sent an image. The message is stored.",
            "Un cliente envió una imagen. El mensaje está guardado.",
        ),
        events.MEDIA: (
            "A customer has sent a file. The message is stored.",
            "Un cliente envió un archivo. El mensaje está guardado.",
        ),
        events.TYPING: (
            "A customer is typing: the bot waits for the end of it.",
            "Un cliente está escribiendo: el bot espera a que termine.",
        ),
        events.RECORDING: (
            "A customer is recording: the bot waits for the end of it.",
            "Un cliente está grabando: el bot espera a que termine.",
        ),
        events.NEW_CONVERSATION: (
            "The first turn of a conversation that the model knows nothing of.",
            "El primer turno de una conversación que el modelo no conoce.",
        ),
        events.RESPONSE: (
            f"The model has answered; the answer is stored and will be sent. {_STORY[0]}",
            f"El modelo respondió; la respuesta está guardada y se enviará. {_STORY[1]}",
        ),
        events.VOICE_RESPONSE: (
            f"The model has answered; a voice note will say it. {_STORY[0]}",
            f"El modelo respondió; lo dirá una nota de voz. {_STORY[1]}",
        ),
        events.MANUAL_MESSAGE: (
            "Somebody of the team wrote in a chat. The bot keeps silent there for a while.",
            "Alguien del equipo escribió en un chat. El bot calla allí un rato.",
        ),
        events.TAKEOVER: (
            "A turn was left to a person of the team; what the bot had not said yet is dropped.",
            "Un turno quedó en manos del equipo; lo que el bot aún no dijo se descarta.",
        ),
        events.HANDED_TO_PERSON: (
            "The model has asked for a person. Somebody should look at the chat.",
            "El modelo pidió una persona. Alguien debe atender el chat.",
        ),
        events.NOBODY_CAME: (
            (
                "The model had asked for a person, the pause is over and none has written. The\n"
                "customer was told so once and still waits; `recado unanswered` lists the chat."
            ),
            (
                "El modelo había pedido una persona, la pausa terminó y nadie escribió. El\n"
                "cliente lo sabe y sigue esperando; `recado unanswered` muestra el chat."
            ),
        ),
        events.TURN_ENDED: (
            (
                "A turn has its outcome (answered, not answered, left to a person, expired, given\n"
                "up), or this process is done with it: interrupted by a stop, or by a fault.\n"
                "RECADO_OUTCOME has it as one word, the same in every language.\n"
                f"RECADO_STAGES says where its time went. {_STORY[0]}"
            ),
            (
                "Un turno terminó (respondido, sin respuesta, en manos de una persona, vencido o\n"
                "abandonado), o este proceso lo dejó: por una parada, o por una falla.\n"
                "RECADO_OUTCOME lo dice en una palabra, igual en todos los idiomas.\n"
                f"RECADO_STAGES dice en qué se fue su tiempo. {_STORY[1]}"
            ),
        ),
        events.FUNCTION_STARTED: (
            "The model has called a tool.",
            "El modelo llamó una función.",
        ),
        events.FUNCTION_ENDED: (
            "A tool has given its result to the model.",
            "Una función entregó su resultado al modelo.",
        ),
        events.FUNCTION_FAILED: (
            f"A tool has failed. The model was told so and goes on. {_STORY[0]}",
            f"Una función falló. El modelo lo sabe y continúa. {_STORY[1]}",
        ),
        events.EXTERNAL_CALL: (
            "One request to another service, and what it came to.",
            "Una petición a otro servicio y su resultado.",
        ),
        events.MODEL_ERROR: (
            f"A request to the model failed and is made again by itself. {_STORY[0]}",
            f"Una petición al modelo falló y se repite sola. {_STORY[1]}",
        ),
        events.TURN_GIVEN_UP: (
            (
                "No answer was possible; the customer got an apology. A person should answer.\n"
                "See: recado replay --dead"
            ),
            (
                "No hubo respuesta posible; el cliente recibió una disculpa. Respóndale.\n"
                "Vea: recado replay --dead"
            ),
        ),
        events.GATEWAY_ERROR: (
            "A send to the gateway failed. It is repeated by itself, unless it was refused.",
            "Un envío al gateway falló. Se repite solo, salvo que haya sido rechazado.",
        ),
        events.IMAGE_ERROR: (
            "An image could not be read; the model was told so.",
            "Una imagen no se pudo leer; el modelo lo sabe.",
        ),
        events.FILE_ERROR: (
            "A file could not be read; the model was told so.",
            "Un archivo no se pudo leer; el modelo lo sabe.",
        ),
        events.VOICE_ERROR: (
            "A voice note could not be heard or made. The model was told so, or wrote instead.",
            "Una nota de voz no se pudo oír o hacer. El modelo lo sabe, o respondió por escrito.",
        ),
        events.STARTED: (
            "Recado serves webhooks from here on.",
            "Recado recibe webhooks desde ahora.",
        ),
        events.STOPPING: (
            "Recado was told to stop; turns under way are finished or kept for the next start.",
            "Recado recibió la orden de parar; los turnos en curso terminan o quedan guardados.",
        ),
        events.STOPPED: (
            "Recado has stopped cleanly.",
            "Recado se detuvo limpiamente.",
        ),
        events.EARLIER_END: (
            "forced: the deadline or a second signal ended its stop; crashed: it had no time to.",
            "forced: el plazo o una segunda señal cortó la parada; crashed: no llegó a parar.",
        ),
        events.RECOVERING: (
            "Work that the last process left behind is taken up again.",
            "Se retoma el trabajo que dejó el proceso anterior.",
        ),
        events.UNEXPECTED_ERROR: (
            "A fault of Recado: please report it with its traceback. The rest goes on.",
            "Una falla de Recado: por favor repórtela con su traza. El resto continúa.",
        ),
        events.SECRET_REFUSED: (
            (
                "A request carried a secret or token that is not ours. RECADO_WHAT says where:\n"
                "webhook, token (the admin token as a bearer) or login. Further ones from that\n"
                "address are answered later and later; the right one is never refused."
            ),
            (
                "Una petición traía un secreto o token que no es el nuestro. RECADO_WHAT dice\n"
                "dónde: webhook, token (el de administración) o login. Los siguientes desde esa\n"
                "dirección se responden cada vez más tarde; el correcto nunca se rechaza."
            ),
        ),
        events.SIGNED_IN: (
            "A browser has shown the admin token; its session begins.",
            "Un navegador mostró el token de administración; empieza su sesión.",
        ),
        events.CROWDED: (
            (
                "There was no room for a new connection, so the oldest one that never showed a\n"
                "secret was closed. RECADO_FULL says what was full: the server, or what one\n"
                "address may have. Behind a proxy, name it in web.trusted_proxies."
            ),
            (
                "No había lugar para una conexión nueva; se cerró la más antigua que nunca mostró\n"
                "un secreto. RECADO_FULL dice qué estaba lleno: el servidor, o lo que puede tener\n"
                "una dirección. Detrás de un proxy, nómbrelo en web.trusted_proxies."
            ),
        ),
        events.MODEL_DOWN: (
            "The model's server does not answer. Customers wait; it goes on by itself.",
            "El servidor del modelo no responde. Los clientes esperan; continúa solo.",
        ),
        events.MODEL_REFUSES: (
            (
                "The model's server refuses requests for how they are made (model, parameter,\n"
                "tool schema). Each customer gets a safe text and waits for a person. Repair what\n"
                "the line says; `recado check --online` looks at the models."
            ),
            (
                "El servidor del modelo rechaza las solicitudes por su forma (modelo, parámetro,\n"
                "esquema). Cada cliente recibe un texto y espera a una persona. Repare lo que\n"
                "dice la línea; `recado check --online` revisa los modelos."
            ),
        ),
        events.MODEL_BACK: (
            "The model's server answers again.",
            "El servidor del modelo responde de nuevo.",
        ),
        events.CHANNEL_TROUBLE: (
            (
                "The gateway refuses to send: the phone may be unlinked, or the channel not paid.\n"
                "Look at the channel in the gateway's panel. Sends go on by themselves."
            ),
            (
                "El gateway no envía: el teléfono puede estar desvinculado o el canal sin pagar.\n"
                "Revise el canal en el panel del gateway. Los envíos siguen solos."
            ),
        ),
        events.CHANNEL_BACK: (
            "The channel sends again.",
            "El canal envía de nuevo.",
        ),
        events.BUDGET_SPENT: (
            "The day's budget is spent: nobody is answered until it is raised or the day ends.",
            "Se agotó el presupuesto del día: nadie recibe respuesta hasta subirlo o mañana.",
        ),
        events.REPEATED: (
            "A line came so often that the rest of it was only counted.",
            "Una línea se repitió tanto que el resto solo se contó.",
        ),
        events.NOTE: ("A note.", "Una nota."),
        events.WARNING: (
            "Something that an operator should look at.",
            "Algo que un operador debería mirar.",
        ),
        events.ERROR: (
            "Something that an operator has to repair.",
            "Algo que un operador debe reparar.",
        ),
        events.ALERT: (
            "Recado cannot run: repair what the line says.",
            "Recado no puede funcionar: repare lo que dice la línea.",
        ),
    }
)
"""Each kind in English and in Spanish."""


def catalog_text() -> str:
    """Write the catalog file: an entry for each kind, in English and in Spanish."""
    head = "# Written by: python -m daemon.observability.catalog\n"
    entries = [
        _entry(kind, language, MEANINGS[kind][number])
        for kind in ALL
        for number, language in enumerate(("", "es"))
    ]
    return "\n".join([head, *entries])


def _entry(kind: EventKind, language: str, meaning: str) -> str:
    headers = [f"-- {kind.message_id}{f' {language}' if language else ''}"]
    headers += [f"Subject: Recado: {kind.name}", "Defined-By: Recado"]
    return "\n".join([*headers, "", meaning, ""])


if __name__ == "__main__":
    import sys

    sys.stdout.write(catalog_text())
