"""A customer's phone in a rehearsal: what a persona does becomes webhook calls."""

from daemon.sandbox import payloads
from daemon.sandbox.audio import voice_note
from daemon.sandbox.contacts import SimulatedContact
from daemon.sandbox.gateway import SimulatedGateway
from daemon.sandbox.ledger import SentMessage
from daemon.sandbox.samples import VOICE_TYPE


class RehearsedPhone:
    """One customer of a simulated gateway. Each call waits for the daemon's 200."""

    def __init__(self, gateway: SimulatedGateway, digits: str, name: str) -> None:
        self._gateway = gateway
        self._contact = SimulatedContact(gateway, gateway.media, digits, name=name)

    async def write(self, text: str) -> str:
        """Type and send a text; return its id."""
        await self._contact.shows("typing", deliver="acknowledged")
        content = payloads.text_content(text)
        return await self._contact.send(content, deliver="acknowledged")

    async def edit(self, message_id: str, text: str) -> None:
        """Change a text that was sent."""
        change = {"edited_type": "text", "edited_content": {"body": text}}
        made = self._gateway.act(message_id, {"type": "edit", **change})
        await self._gateway.announce([made], deliver="acknowledged")

    async def speak(self, words: str) -> None:
        """Record and send a voice note, which the simulated transcription understands."""
        await self._contact.shows("recording", deliver="acknowledged")
        content = self._contact.file("voice", voice_note(words), VOICE_TYPE)
        await self._contact.send(content, deliver="acknowledged")

    def received(self) -> list[str]:
        """Return what the daemon has sent here, in order; in brackets what is no text."""
        return [_shown(sent) for sent in self._gateway.ledger.sent(self._contact.chat)]


def _shown(sent: SentMessage) -> str:
    if sent.kind in {"text", "link_preview"}:
        return sent.text
    body = sent.request.get("body")
    words = body.get("text", "") if isinstance(body, dict) else sent.text
    return f"[{sent.kind}] {words}".rstrip()
