"""The pictures of docs/images, from a real run: ``python -m support.pictures FOLDER``.

A small hotel's afternoon is played against the simulators. The day before it, which only the
charts show, is made up.
"""

import json
import math
import random
import sys
import tempfile
import time
from itertools import takewhile
from pathlib import Path

import trio
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from daemon.sandbox.samples import read
from support.chromium import launch
from support.model_script import Step, call, say
from support.process import ROOT
from support.rows import insert, select
from support.stand import ADMIN_TOKEN, Stand, open_stand

LAURA, ANDRES, SOFIA, EMMA = "573001234567", "573005550142", "573005550173", "573005550188"
MATEO, CAMILA, HUGO = "573005550199", "573005550121", "573005550133"
HUGO_CHAT = f"{HUGO}@s.whatsapp.net"
WIDE: ViewportSize = {"width": 1280, "height": 800}
NARROW: ViewportSize = {"width": 360, "height": 740}

VARIABLES = {
    "RECADO_TOOLS__FOLDER": str(ROOT / "config" / "tools"),
    "RECADO_VOICE__TRANSCRIPTION_MODEL": "sandbox-transcription",
    "RECADO_BUFFER__VOICE_SECONDS": "0.3",
    "RECADO_MEDIA__HOSTS": '["localhost"]',
    "RECADO_BUDGET__CONTACT_TOKENS": "60000",
    "RECADO_BUDGET__TOTAL_COST": "5",
    "RECADO_BUDGET__PRICES": '{"gpt-6-luna": {"input": 1.25, "cached": 0.125, "output": 10}}',
}

ROOMS = """¡Hola, Laura! Sí, del 27 al 29 hay lugar:

• *101*, doble: $360.000 las dos noches
• *201*, suite con vista al lago: $640.000

El desayuno va incluido. ¿Cuál te reservo?"""
BOOKED = "Listo, Laura: la *suite 201* es tuya del 27 al 29. Tu reserva es *H-4821*."
HOTEL = """Eres el asistente de un hotel pequeño en Guatapé. Responde en pocas frases.

Sobre el hotel:
- Se puede cancelar gratis hasta 48 horas antes de la llegada.
- El desayuno se sirve de 7 a 10."""
VOICE = "Este fin de semana todavía hay dos habitaciones libres. ¿Cuántas personas serían?"


def play(stand: Stand) -> None:
    """Play the afternoon."""
    laura(stand)
    others(stand)
    unlucky(stand)


def laura(stand: Stand) -> None:
    """A guest who books, by text and by voice."""
    gateway = stand.site.gateway
    available = json.dumps({"arrival": "2026-11-27", "nights": 2})
    booking = {"room": "201", "arrival": "2026-11-27", "nights": 2, "guest": "Laura Gómez"}
    stand.script("Somos dos", call("check_availability", available), say(ROOMS))
    stand.script("La suite", call("book_room", json.dumps(booking)), say(BOOKED))
    stand.script("para este fin de semana", say(VOICE))
    person = stand.tell(gateway.contact, LAURA, name="Laura Gómez")
    stand.ask(person.say, "Hola, buenas tardes")
    stand.ask(person.say, "¿Tienen algo libre del 27 al 29? Somos dos")
    rooms = stand.wait_received(LAURA, "desayuno")
    asked = stand.ask(person.say, "La suite, porfa. A nombre de Laura Gomes", quote=rooms)
    stand.ask(person.edit, asked, "La suite, porfa. A nombre de Laura Gómez")
    stand.ask(person.react, stand.wait_received(LAURA, "H-4821"), "❤️")
    stand.ask(person.send_voice)
    stand.wait_received(LAURA, "dos habitaciones")
    for message in stand.tell(gateway.sent, LAURA):
        stand.tell(gateway.set_status, message.id, "read")


def others(stand: Stand) -> None:
    """A payment that a person takes over, directions on a map, an escalation."""
    gateway = stand.site.gateway
    stand.script("comprobante", say("¡Gracias, Andrés! Le paso el comprobante a Recepción."))
    andres = stand.tell(gateway.contact, ANDRES, name="Andrés Pardo")
    stand.ask(andres.send_image, read("receipt.jpg"), caption="Mi comprobante de pago")
    stand.wait_received(ANDRES, "Recepción")
    stand.ask(gateway.agent_says, ANDRES, "Hola, Andrés, soy Marta. Ya lo vi, quedó todo pago ✅")
    stand.ask(andres.say, "Mil gracias, Marta")

    stand.script("cómo llego", call("show_way"), say("Cuéntame y te espero."))
    sofia = stand.tell(gateway.contact, SOFIA, name="Sofía Rincón")
    stand.ask(sofia.send_location, 4.7169, -74.0362, "Usaquén", "Cra. 6 # 119-24")
    stand.ask(sofia.say, "Estoy aquí, ¿cómo llego al hotel?")
    stand.wait_received(SOFIA, "te espero")

    wishes = {
        "reason": "Quiere una factura",
        "summary": "Pide factura con NIT.",
        "urgency": "normal",
    }
    wish = call("escalate_to_human", json.dumps(wishes))
    stand.script("NIT", wish, say("Claro, Camila. Enseguida te escribe Marta, de Recepción."))
    stand.ask(gateway.customer_says, CAMILA, "Necesito una factura con NIT", name="Camila Torres")
    stand.wait_received(CAMILA, "Marta")


def unlucky(stand: Stand) -> None:
    """A turn that the model server refuses, and a send that the gateway refuses."""
    gateway = stand.site.gateway
    refusal = Step(status=400, code="invalid_prompt", message="the prompt was refused")
    stand.script("mascotas", refusal)
    stand.ask(gateway.customer_says, MATEO, "¿Aceptan mascotas?", name="Mateo Ruiz")
    stand.ask(gateway.wait_sent, MATEO)
    fault = stand.tell(
        gateway.faults.add, operation="send", kind="status", chat=HUGO_CHAT, status=400
    )
    stand.script("parqueadero", say("Sí, Hugo: el parqueadero es gratis."))
    stand.ask(gateway.customer_says, HUGO, "¿Tienen parqueadero?", name="Hugo Nieto")
    stand.ask(fault.reached.wait)


def going_on(stand: Stand, gate: trio.Event) -> None:
    """Work under way while the pictures are taken."""
    gateway, model = stand.site.gateway, stand.site.model
    before = len(model.calls)
    dates = json.dumps({"arrival": "2026-12-04", "nights": 3})
    free = say("Hello, Emma! From the 4th to the 7th both doubles are free.", gate=gate)
    stand.script("December", call("check_availability", dates), free)
    asked = "Hi! Any rooms from December 4th, 3 nights?"
    stand.ask(gateway.customer_says, EMMA, asked, name="Emma Carter")
    stand.ask(model.wait_requests, before + 2)


def make_yesterday(data_dir: Path, *, now: float) -> None:
    """Samples of a day, as a hotel has it: quiet at night, busy at noon and in the evening."""
    rng = random.Random(4)  # noqa: S311 - a picture
    ((first, model), *_) = select(data_dir, "samples", "at, figures", order="at")
    lengths = {name: len(value) for name, value in json.loads(model).items() if name in BUCKETS}
    times = (now - 86400 + minute * 60 for minute in range(24 * 60 - 40))
    samples = [
        {"at": at, "figures": json.dumps(figures_of(at, rng, lengths))}
        for at in takewhile(lambda at: at < first - 30, times)
    ]
    insert(data_dir, "samples", *samples)


BUCKETS = ("acknowledgement", "turn")


def figures_of(at: float, rng: random.Random, lengths: dict[str, int]) -> dict[str, object]:
    """One minute."""
    hour = (at / 3600 - 5) % 24
    rush = math.exp(-(((hour - 12.5) / 2.2) ** 2)) + 1.3 * math.exp(-(((hour - 19) / 2.4) ** 2))
    messages = sum(rng.random() < 0.03 + 0.28 * rush for _ in range(3))
    answers = sum(rng.random() < 0.62 for _ in range(messages))
    slow = [0] * lengths["turn"]
    for _ in range(answers):
        slow[min(len(slow) - 2, 3 + int(abs(rng.gauss(1.5 + rush, 1.2))))] += 1
    stored = [0] * lengths["acknowledgement"]
    for _ in range(messages):
        stored[1 + int(abs(rng.gauss(0, 0.8)))] += 1
    tokens = sum(rng.randint(900, 3200) for _ in range(answers))
    return {
        "at": at,
        "messages": messages,
        "answers": answers,
        "takeovers": int(rng.random() < 0.004 + 0.006 * rush),
        "dead": 0,
        "tokens": tokens,
        "cost": tokens * 0.0000022,
        "memory_bytes": int(92e6 + 9e6 * rush + rng.random() * 1e6),
        "acknowledgement": stored,
        "turn": slow,
    }


def take(browser: Browser, stand: Stand, folder: Path, *, language: str = "es") -> None:
    """Every main page, in both themes and widths."""
    for theme in ("light", "dark"):
        for size in (WIDE, NARROW):
            context = browser.new_context(
                viewport=size,
                reduced_motion="reduce",
                color_scheme=theme,
                timezone_id="America/Bogota",
            )
            page = context.new_page()
            page.goto(f"{stand.url}/dashboard/login")
            page.get_by_test_id("token").fill(ADMIN_TOKEN)
            page.get_by_test_id("sign-in").click()
            page.wait_for_url("**/dashboard")
            for name, value in (("theme", theme), ("language", language)):
                context.add_cookies(
                    [{"name": f"recado-{name}", "value": value, "url": f"{stand.url}/dashboard"}]
                )
            for name in ("overview", "conversation", "chats", "log", "work", "texts", "phone"):
                show(page, stand, name)
                kind = "wide" if size is WIDE else "narrow"
                if kind == "wide":
                    tall = page.evaluate("document.documentElement.scrollHeight")
                    page.set_viewport_size({"width": 1280, "height": max(tall, 800)})
                page.screenshot(path=folder / f"dashboard-{name}-{theme}-{kind}.png")
                page.set_viewport_size(size)
            context.close()


def show(page: Page, stand: Stand, name: str) -> None:
    """Open a page and wait until it is complete."""
    paths = {"overview": "", "conversation": "chats", "texts": "texts/main/instructions"}
    page.goto(f"{stand.url}/dashboard/{paths.get(name, name)}".removesuffix("/"))
    if name == "conversation":
        page.get_by_test_id("chat-row").filter(has_text="Laura").click()
        page.get_by_test_id("turn-row").nth(1).click()
        page.get_by_test_id("steps").wait_for()
        page.wait_for_timeout(400)
        page.evaluate("document.querySelectorAll('main, .turn-list').forEach(e => e.scrollTop = 0)")
    if name == "texts":
        edit(page)
    if name == "log":
        page.get_by_test_id("line").first.wait_for()
    if name == "phone":
        frame = page.frame_locator("iframe")
        frame.get_by_test_id("chats").get_by_text("Laura").first.click()
        frame.get_by_text("H-4821").wait_for()
    page.wait_for_timeout(500)


def edit(page: Page) -> None:
    """Put a first version to work, and show what a second one would change."""
    text = page.get_by_test_id("text")
    if not page.get_by_test_id("version").count():
        text.fill(HOTEL)
        page.get_by_test_id("save").click()
        page.get_by_test_id("version").wait_for()
    text.fill(text.input_value().replace("48", "24"))
    page.get_by_test_id("preview").click()
    page.get_by_test_id("diff").wait_for()
    page.evaluate("document.querySelectorAll('.toast').forEach(e => e.remove())")


def main() -> None:
    """Take the pictures."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as home,
        open_stand(Path(home)) as stand,
        sync_playwright() as playwright,
    ):
        stand.start(**VARIABLES, RECADO_DASHBOARD__SAMPLE_SECONDS="1")
        play(stand)
        time.sleep(2)  # noqa: TID251 - a sample of the afternoon
        stand.kill()
        make_yesterday(stand.site.data_dir, now=time.time())
        stand.start(**VARIABLES)
        gate = trio.Event()
        going_on(stand, gate)
        with launch(playwright) as browser:
            take(browser, stand, folder)


if __name__ == "__main__":
    main()
