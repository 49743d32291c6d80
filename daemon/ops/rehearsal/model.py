"""Which model a rehearsal asks: the configured one, or the simulated one in this process."""

from urllib.parse import urlsplit

from daemon.assistant.port import Engine
from daemon.sandbox.simulated_engine import SimulatedEngine
from daemon.settings import Settings


def simulated_engine() -> Engine:
    """The simulated model: it opens no connection."""
    return SimulatedEngine()


def has_real_model(settings: Settings) -> bool:
    """True if a model server is configured: a key, or another address than OpenAI's."""
    usual = Settings().assistant.base_url
    return settings.assistant.api_key is not None or settings.assistant.base_url != usual


def model_line(settings: Settings, *, simulated: bool) -> str:
    """Which model answers, and whether that costs money, in one line."""
    if not simulated:
        assistant = settings.assistant
        host = urlsplit(assistant.base_url).netloc
        return f"the real model {assistant.model} answers ({host}), and costs money"
    if has_real_model(settings):
        return "the simulated model answers: --simulated was given"
    return "the simulated model answers: assistant.api_key (OPENAI_API_KEY) is not set"
