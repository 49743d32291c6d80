"""The sandbox: the same daemon between a simulated Whapi and a simulated model, all on loopback."""

import os
import random
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import trio
from pydantic import SecretStr

from daemon import __version__
from daemon.app import run
from daemon.conversation.number_runtime import open_services
from daemon.conversation.opening import Environment, Process
from daemon.conversation.services import ChatServices
from daemon.http.server import serve
from daemon.observability.metrics import Metrics
from daemon.sandbox.cloud_api import ACCOUNT_ID, SimulatedCloud
from daemon.sandbox.cloud_phones import CloudPhones
from daemon.sandbox.gateway import SimulatedGateway
from daemon.sandbox.model_server import ModelServer
from daemon.sandbox.payloads import CHANNEL
from daemon.sandbox.phone import CONTACTS, Phone
from daemon.sandbox.rehearsed_phone import RehearsedPhone
from daemon.settings import Settings, with_tables
from daemon.settings.numbers import ONLY

TOKENS_PER_SECOND = 40.0
"""Slow enough for the phone to show the model thinking."""

EXAMPLE_TOOLS = Path("config/tools")
"""A small hotel, if the sandbox is started where the repository is."""

TOKEN = "sandbox-token"  # noqa: S105 - both ends of it are simulated
APP_SECRET = "sandbox-app-secret"  # noqa: S105 - likewise
PHONE_NUMBER_ID = "106540352242922"
CLOUD = "cloud"
"""The name of the number at the simulated Cloud API; the other one's is that of an only number."""

FREE_MESSAGES = 5
"""Answers of the simulated Cloud API that cost nothing; the further ones are charged."""

PRICES = {"CO": {"calling_code": "57", "service": 0.0008, "utility": 0.0008, "marketing": 0.0125}}
"""Invented, for the dashboard to have something to show."""

TEMPLATES = (
    {
        "name": "seguimos_aqui",
        "language": "es",
        "status": "APPROVED",
        "category": "UTILITY",
        "components": [
            {"type": "BODY", "text": "Hola {{1}}, ya tenemos respuesta. Escríbanos para seguir."}
        ],
    },
    {
        "name": "recordatorio",
        "language": "es",
        "status": "APPROVED",
        "category": "UTILITY",
        "components": [
            {"type": "BODY", "text": "Hola {{1}}, su reserva es el {{2}}."},
            {"type": "FOOTER", "text": "Hotel Recado"},
        ],
    },
    {
        "name": "oferta",
        "language": "es",
        "status": "PAUSED",
        "category": "MARKETING",
        "components": [{"type": "BODY", "text": "Solo hoy: dos noches por una."}],
    },
)
"""The templates of the simulated account."""

SPEECH_MODEL = "sandbox-speech"
TRANSCRIPTION_MODEL = "sandbox-transcription"
GRACE_SECONDS = 0.2


SLOW_TOKENS_PER_SECOND = 1.5
"""The pace of the model while the phone page's switch makes it slow."""

SUPERVISED = ("INVOCATION_ID", "RECADO_SUPERVISED")
"""Environment variables of a supervisor that restarts a dead daemon; the first is systemd's.

https://www.freedesktop.org/software/systemd/man/latest/systemd.exec.html
"""


@dataclass(frozen=True, slots=True)
class Simulators:
    """The two servers that stand for the outside world, and where they are."""

    gateway: SimulatedGateway
    gateway_url: str
    model: ModelServer
    model_url: str


@asynccontextmanager
async def simulators(
    environment: Environment,
    gateway: SimulatedGateway,
    model: ModelServer,
    *,
    gateway_port: int = 0,
    model_port: int = 0,
) -> AsyncIterator[Simulators]:
    """Run both simulators on loopback for the length of the block."""
    stop = trio.Event()
    start = partial(
        serve, stop=stop, grace_seconds=GRACE_SECONDS, log=environment.log, now=environment.now
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(gateway.run, name="simulated gateway's webhooks")
        await nursery.start(model.run, name="simulated model's responses")
        (gateway_url,) = await nursery.start(
            partial(start, gateway, binds=[f"127.0.0.1:{gateway_port}"]), name="simulated gateway"
        )
        (model_url,) = await nursery.start(
            partial(start, model, binds=[f"127.0.0.1:{model_port}"]), name="simulated model"
        )
        gateway.set_base_url(gateway_url)
        yield Simulators(gateway, gateway_url, model, model_url)
        nursery.cancel_scope.cancel()


def with_example_tools(settings: Settings, folder: Path) -> Settings:
    """The settings with the example tools, where there are any and none are configured."""
    if settings.tools.folder or settings.tools.modules or not folder.is_dir():
        return settings
    return with_tables(settings, {"tools": {"folder": folder}})


def host_of(settings: Settings) -> str:
    """The host of the model server's address."""
    return urlsplit(settings.assistant.base_url).netloc


def add_switches(
    outside: Simulators, environ: Mapping[str, str], *, simulated: bool = True
) -> None:
    """Add switches for the simulated model and for the daemon itself to the phone page."""
    model, controls = outside.model, outside.gateway.controls
    pace = model.tokens_per_second

    def slow_down(on: bool) -> None:  # noqa: FBT001 - a switch's position
        model.tokens_per_second = SLOW_TOKENS_PER_SECOND if on else pace

    def break_down(on: bool) -> None:  # noqa: FBT001 - a switch's position
        model.is_down = on

    def refuse(on: bool) -> None:  # noqa: FBT001 - a switch's position
        model.refuses = on

    def kill(_on: bool) -> None:  # noqa: FBT001 - a switch's position
        os.kill(os.getpid(), signal.SIGKILL)

    supervised = any(environ.get(name) for name in SUPERVISED)
    if simulated:
        controls.add("model_slow", slow_down)
        controls.add("model_down", break_down)
        controls.add("model_refuses", refuse)
    controls.add("kill", kill, button=True, unavailable="" if supervised else "no_supervisor")


def sandbox_settings(
    settings: Settings, outside: Simulators, *, simulated: bool = True
) -> Settings:
    """The settings of a daemon that talks to the simulators, or to the real model besides."""
    tables: dict[str, dict[str, object]] = {
        "whapi": {"api_url": outside.gateway_url, "token": SecretStr(TOKEN)},
        "media": {"hosts": ("localhost",)},
    }
    if simulated:
        url = f"{outside.model_url}/v1"
        tables["assistant"] = {"base_url": url, "api_key": SecretStr(TOKEN), "background": True}
        tables["voice"] = {
            "speech_base_url": "",
            "speech_api_key": None,
            "transcription_base_url": _on_this_machine(settings.voice.transcription_base_url),
            "transcription_api_key": None,
        }
    # There is one simulated number.
    return with_tables(settings, tables, gateway="whapi", numbers={})


def _on_this_machine(url: str) -> str:
    """An address of this machine, such as that of a transcription model; empty for any other."""
    return url if urlsplit(url).hostname in {"localhost", "127.0.0.1", "::1"} else ""


def with_voice(settings: Settings) -> Settings:
    """The settings with models for speech and transcription: voice notes get voice answers."""
    models = {
        "speech_model": settings.voice.speech_model or SPEECH_MODEL,
        "transcription_model": settings.voice.transcription_model or TRANSCRIPTION_MODEL,
    }
    return with_tables(settings, {"voice": models})


def _with_examples(settings: Settings, *, simulated: bool) -> Settings:
    """The settings with the example tools; with voice and the API of a simulated model."""
    if not simulated:
        return with_example_tools(settings, EXAMPLE_TOOLS)
    settings = with_tables(settings, {"assistant": {"engine": "responses"}})
    return with_voice(with_example_tools(settings, EXAMPLE_TOOLS))


def with_cloud_number(settings: Settings, api_url: str) -> Settings:
    """The settings with a second number, which is at the simulated Cloud API."""
    cloud = {
        "api_url": api_url,
        "phone_number_id": PHONE_NUMBER_ID,
        "business_account_id": ACCOUNT_ID,
        "token": SecretStr(TOKEN),
        "app_secret": SecretStr(APP_SECRET),
        "verify_token": SecretStr(TOKEN),
        "prices": PRICES,
        "window_template": "seguimos_aqui:es",
        "window_template_parameters": {"1": "{name}"},
    }
    first = with_tables(settings, {"whapi": {"channel_id": CHANNEL}})
    second = with_tables(settings, {"cloud": cloud}, gateway="cloud")
    return with_tables(settings, {}, numbers={ONLY: first, CLOUD: second})


def _read_again(
    read: Callable[[], Settings] | None, outside: Simulators, cloud_url: str, *, simulated: bool
) -> Settings:
    """Read the configuration for a reload, and make it the sandbox's."""
    settings = _with_examples(read() if read else Settings(), simulated=simulated)
    settings = sandbox_settings(settings, outside, simulated=simulated)
    return with_cloud_number(settings, cloud_url) if cloud_url else settings


@asynccontextmanager
async def cloud_simulator(
    environment: Environment, rng: random.Random
) -> AsyncIterator[tuple[CloudPhones, str]]:
    """Run a simulated Cloud API and its phones on loopback for the length of the block."""
    cloud = SimulatedCloud(
        token=TOKEN,
        app_secret=APP_SECRET,
        phone_number_id=PHONE_NUMBER_ID,
        now=environment.now,
        rng=rng,
        backoff_seconds=3.0,
    )
    cloud.templates = list(TEMPLATES)
    cloud.free_messages = FREE_MESSAGES
    phones = CloudPhones(cloud, now=environment.now, rng=rng)
    start = partial(
        serve,
        phones,
        binds=["127.0.0.1:0"],
        stop=trio.Event(),
        grace_seconds=GRACE_SECONDS,
        log=environment.log,
        now=environment.now,
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(phones.run, name="simulated Cloud API's webhooks")
        (url,) = await nursery.start(start, name="simulated Cloud API")
        cloud.set_base_url(url)
        yield phones, url
        nursery.cancel_scope.cancel()


async def run_sandbox(
    settings: Settings, environment: Environment, *, simulated: bool = True
) -> None:
    """Run the daemon in the sandbox until it is stopped. Raises what `run` raises.

    ``simulated``: the model is simulated, too; else it is the configured one.
    """
    settings = _with_examples(settings, simulated=simulated)
    secrets = settings.web.webhook_secret
    rng = random.Random(environment.random.getrandbits(64))  # noqa: S311 - a simulation
    gateway = SimulatedGateway(
        token=TOKEN,
        now=environment.now,
        rng=rng,
        webhook_secret=secrets[0].get_secret_value() if secrets else "",
        contacts=CONTACTS,
    )
    model = ModelServer(
        now=environment.now, rng=rng, api_key=TOKEN, tokens_per_second=TOKENS_PER_SECOND
    )
    async with AsyncExitStack() as stack:
        outside = await stack.enter_async_context(
            simulators(environment, gateway, model, gateway_port=settings.sandbox.port)
        )
        own = sandbox_settings(settings, outside, simulated=simulated)
        cloud, cloud_url = None, ""
        if settings.sandbox.cloud:
            cloud, cloud_url = await stack.enter_async_context(cloud_simulator(environment, rng))
            own = with_cloud_number(own, cloud_url)
            environment = replace(environment, metrics=Metrics(version=__version__, by_number=True))
            _link_phones(gateway.phone, outside.gateway_url, cloud.phone, cloud_url)
        nursery = await stack.enter_async_context(trio.open_nursery())
        shown = replace(
            environment,
            phone_url=outside.gateway_url,
            read_settings=partial(
                _read_again, environment.read_settings, outside, cloud_url, simulated=simulated
            ),
        )
        add_switches(outside, os.environ, simulated=simulated)
        for phone in (gateway.phone, *([cloud.phone] if cloud else [])):
            phone.language = settings.language
            if not simulated:
                phone.model = {"name": settings.assistant.model, "at": host_of(settings)}
        urls = await nursery.start(run, own, shown, name="daemon")
        if not urls:
            return  # stopped before it was open
        if cloud is None:
            gateway.set_webhook(f"{urls[0]}/hook")
        else:
            gateway.set_webhook(f"{urls[0]}/n/{ONLY}/hook")
            cloud.cloud.webhook_url = f"{urls[0]}/n/{CLOUD}/hook"
        environment.log.info(
            "write to the bot from this phone", symbol="📱", address=f"{outside.gateway_url}/phone"
        )


def _link_phones(whapi: Phone, whapi_url: str, cloud: Phone, cloud_url: str) -> None:
    """Let each phone page lead to the other."""
    pages = {"Whapi": (whapi, whapi_url), "Cloud API": (cloud, cloud_url)}
    for phone, _ in pages.values():
        phone.gateways = tuple(
            {"name": name, "url": f"{url}/phone", "current": other is phone}
            for name, (other, url) in pages.items()
        )


@asynccontextmanager
async def open_sandbox(
    settings: Settings,
    environment: Environment,
    change: Callable[[ChatServices, Settings], Awaitable[ChatServices]],
    simulated: bool,  # noqa: FBT001 - a `daemon.ops.rehearsal.sandbox.OpenSandbox`
) -> AsyncIterator[Callable[[str, str], RehearsedPhone]]:
    """Run the daemon for a rehearsal; gives the phone of a customer, by digits and name.

    ``change`` changes the services of its chats. Voice notes are heard by the simulated server
    alone. Raises what `run` raises.
    """
    rng = random.Random(environment.random.getrandbits(64))  # noqa: S311 - a simulation
    gateway = SimulatedGateway(token=TOKEN, now=environment.now, rng=rng)
    model = ModelServer(now=environment.now, rng=rng, api_key=TOKEN)

    @asynccontextmanager
    async def open_changed(
        number: Settings, process: Process, name: str
    ) -> AsyncIterator[ChatServices]:
        async with open_services(number, process, name) as services:
            yield await change(services, number)

    async with simulators(environment, gateway, model) as outside, trio.open_nursery() as nursery:
        own = _heard_by(sandbox_settings(settings, outside, simulated=simulated), outside)
        daemon = partial(run, own, environment, open_services=open_changed)
        (url,) = await nursery.start(daemon, name="daemon")
        gateway.set_webhook(f"{url}/hook")
        yield partial(RehearsedPhone, gateway)
        environment.stop.set()


def _heard_by(settings: Settings, outside: Simulators) -> Settings:
    """The settings with the simulated server as the one that transcribes."""
    hearing = {
        "transcription_model": TRANSCRIPTION_MODEL,
        "transcription_base_url": f"{outside.model_url}/v1",
        "transcription_api_key": SecretStr(TOKEN),
    }
    return with_tables(settings, {"voice": hearing})
