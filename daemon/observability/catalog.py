"""The meaning of the events for an operator: ``journalctl -x`` shows it below the line. Pure.

``python -m daemon.observability.catalog`` writes ``systemd/recado.catalog`` from here, in the
format of systemd's own catalogs (CATALOG(7): ``-- MESSAGE_ID``, headers, text).
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
            "A customer is typing: the bot waits until they stop.",
            "Un cliente está escribiendo: el bot espera a que termine.",
        ),
        events.RECORDING: (
            "A customer is recording: the bot waits until they stop.",
            "Un cliente está grabando: el bot espera a que termine.",
        ),
        events.NEW_CONVERSATION: (
            "The first turn of a conversation that is new to the model.",
            "El primer turno de una conversación nueva para el modelo.",
        ),
        events.RESPONSE: (
            f"The model has answered; the answer is stored and will be sent. {_STORY[0]}",
            f"El modelo respondió; la respuesta está guardada y se enviará. {_STORY[1]}",
        ),
        events.VOICE_RESPONSE: (
            f"The model has answered; the answer will be sent as a voice note. {_STORY[0]}",
            f"El modelo respondió; la respuesta se enviará como nota de voz. {_STORY[1]}",
        ),
        events.MANUAL_MESSAGE: (
            "Someone from the team wrote in a chat. The bot is silent there for a while.",
            "Alguien del equipo escribió en un chat. El bot calla allí un rato.",
        ),
        events.TAKEOVER: (
            "A turn was left to a person of the team; messages not sent yet are dropped.",
            "Un turno quedó en manos del equipo; los mensajes sin enviar se descartan.",
        ),
        events.HANDED_TO_PERSON: (
            "The model has asked for a person. Someone should attend to the chat.",
            "El modelo pidió una persona. Alguien debe atender el chat.",
        ),
        events.NO_AGENT_WROTE: (
            (
                "The model had asked for a person, the pause is over and nobody has written. The\n"
                "customer was told so once and still waits; `recado unanswered` lists the chat."
            ),
            (
                "El modelo había pedido una persona, la pausa terminó y nadie escribió. Se le\n"
                "avisó al cliente, que sigue esperando; `recado unanswered` muestra el chat."
            ),
        ),
        events.TURN_ENDED: (
            (
                "A turn has an outcome (answered, not answered, left to a person, expired, given\n"
                "up), or this process stopped working on it: by a stop, or by a fault.\n"
                "RECADO_OUTCOME has it as one word, the same in every language.\n"
                f"RECADO_STAGES shows where the time went. {_STORY[0]}"
            ),
            (
                "Un turno terminó (respondido, sin respuesta, en manos de una persona, vencido o\n"
                "abandonado), o este proceso lo dejó: por una parada o por una falla.\n"
                "RECADO_OUTCOME lo dice en una palabra, igual en todos los idiomas.\n"
                f"RECADO_STAGES muestra en qué se fue el tiempo. {_STORY[1]}"
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
            "One request to another service, and its result.",
            "Una petición a otro servicio y su resultado.",
        ),
        events.MODEL_ERROR: (
            f"A request to the model failed; it is repeated automatically. {_STORY[0]}",
            f"Una petición al modelo falló; se repite automáticamente. {_STORY[1]}",
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
            "A voice note could not be transcribed or made. The model knows, or wrote instead.",
            "Una nota de voz no se pudo transcribir o crear. El modelo lo sabe, o escribió.",
        ),
        events.STARTED: (
            "Recado serves webhooks from here on.",
            "Recado recibe webhooks desde ahora.",
        ),
        events.STOPPING: (
            "Recado is stopping; turns in progress are finished or kept for the next start.",
            "Recado se está deteniendo; los turnos en curso terminan o quedan guardados.",
        ),
        events.STOPPED: (
            "Recado has stopped cleanly.",
            "Recado se detuvo limpiamente.",
        ),
        events.EARLIER_END: (
            "forced: the deadline or a second signal cut its stop short; crashed: it did not stop.",
            "forced: el plazo o una segunda señal cortó la parada; crashed: no llegó a parar.",
        ),
        events.RECOVERING: (
            "Work that the last process left unfinished is resumed.",
            "Se retoma el trabajo que dejó el proceso anterior.",
        ),
        events.UNEXPECTED_ERROR: (
            "A fault in Recado: please report it with its traceback. The rest goes on.",
            "Una falla de Recado: por favor repórtela con su traza. El resto continúa.",
        ),
        events.SECRET_REFUSED: (
            (
                "A request carried a wrong secret or token. RECADO_WHAT says where: webhook,\n"
                "token (the admin token as a bearer) or login. Further ones from that address\n"
                "are answered with growing delays; the right one is never refused."
            ),
            (
                "Una petición traía un secreto o token equivocado. RECADO_WHAT dice dónde:\n"
                "webhook, token (el de administración) o login. Los siguientes desde esa\n"
                "dirección se responden cada vez más tarde; el correcto nunca se rechaza."
            ),
        ),
        events.SIGNED_IN: (
            "A browser signed in with the admin token; its session begins.",
            "Un navegador entró con el token de administración; empieza su sesión.",
        ),
        events.CROWDED: (
            (
                "The limit of connections was reached, so the oldest one that never showed a\n"
                "secret was closed. RECADO_FULL says which limit: that of the server, or that of\n"
                "one address. Behind a proxy, name it in web.trusted_proxies."
            ),
            (
                "Se alcanzó el límite de conexiones; se cerró la más antigua que nunca mostró un\n"
                "secreto. RECADO_FULL dice cuál límite: el del servidor o el de una dirección.\n"
                "Si hay un proxy delante, nómbrelo en web.trusted_proxies."
            ),
        ),
        events.MODEL_DOWN: (
            "The model server does not answer. Customers wait; work resumes by itself.",
            "El servidor del modelo no responde. Los clientes esperan; el trabajo sigue solo.",
        ),
        events.MODEL_REFUSES: (
            (
                "The model server refuses requests because of their form (model, parameter, tool\n"
                "schema). Each customer gets a safe text and waits for a person. Repair what the\n"
                "line says; `recado check --online` checks the models."
            ),
            (
                "El servidor del modelo rechaza las solicitudes por su forma (modelo, parámetro,\n"
                "esquema). Cada cliente recibe un texto y espera a una persona. Repare lo que\n"
                "dice la línea; `recado check --online` revisa los modelos."
            ),
        ),
        events.MODEL_BACK: (
            "The model server answers again.",
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
            "The day's budget is used up: nobody is answered until it is raised or the day ends.",
            "Se agotó el presupuesto del día: nadie recibe respuesta hasta subirlo o hasta mañana.",
        ),
        events.REPEATED: (
            "A line repeated so often that its further occurrences were only counted.",
            "Una línea se repitió tanto que sus siguientes apariciones solo se contaron.",
        ),
        events.NOTE: ("A note.", "Una nota."),
        events.WARNING: (
            "An operator should look at this.",
            "Un operador debería revisar esto.",
        ),
        events.ERROR: (
            "An operator has to repair this.",
            "Un operador debe reparar esto.",
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
