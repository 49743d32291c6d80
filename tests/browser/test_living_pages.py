"""The dashboard in a real browser: what people do with it while the daemon is at work."""

import re

import trio
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect
from support.model_script import Step, say
from support.stand import ADMIN_TOKEN, Stand

LAURA, PEDRO, ROSA, IVAN, MALA, TOMAS = (f"57300555{number}" for number in range(1000, 1006))


def open_chat(page: Page, name: str) -> None:
    page.goto("/dashboard/chats")
    page.get_by_test_id("chat-row").filter(has_text=name).click()
    expect(page.get_by_test_id("chat-name")).to_have_text(name)


def bubble(page: Page, words: str) -> Locator:
    return page.get_by_test_id("bubble").filter(has_text=words)


def line(page: Page, words: str) -> Locator:
    return page.get_by_test_id("line").filter(has_text=words)


def test_one_signs_in_with_the_token_alone_and_out_again(browser: Browser, stand: Stand) -> None:
    context = browser.new_context(base_url=stand.url, locale="es")
    page = context.new_page()
    page.goto("/dashboard/work")
    expect(page).to_have_url(re.compile("/dashboard/login"))
    page.get_by_test_id("token").fill("wrong")
    page.get_by_test_id("token").press("Enter")
    expect(page.get_by_test_id("fault")).to_be_visible()
    page.get_by_test_id("token").fill(ADMIN_TOKEN)
    page.get_by_test_id("token").press("Enter")
    expect(page).to_have_url(f"{stand.url}/dashboard/work")
    assert page.evaluate("document.cookie") == ""
    page.get_by_test_id("logout").click()
    expect(page).to_have_url(re.compile("/dashboard/login"))
    page.goto("/dashboard")
    expect(page).to_have_url(re.compile("/dashboard/login"))
    context.close()


def test_a_message_is_typed_on_the_phone_and_its_answer_seen_live(
    context: BrowserContext, page: Page, stand: Stand
) -> None:
    stand.script("primera", say("Buenas, Laura."))
    stand.ask(stand.site.gateway.customer_says, LAURA, "primera", name="Laura")
    stand.wait_received(LAURA, "Buenas")
    open_chat(page, "Laura")
    expect(bubble(page, "Buenas, Laura.")).to_be_visible()
    log = context.new_page()
    log.goto("/dashboard/log")
    expect(log.get_by_test_id("live")).to_have_attribute("data-state", "live")
    log.evaluate("window.shift = 0")

    stand.script("¿Hay cupo?", say("Sí, hay cupo."))
    beside = context.new_page()
    beside.goto("/dashboard/phone")
    phone = beside.frame_locator("iframe")
    phone.get_by_test_id("chats").get_by_text("Laura", exact=True).click()
    phone.get_by_test_id("text").fill("¿Hay cupo?")
    phone.get_by_test_id("send").click()
    expect(phone.get_by_text("Sí, hay cupo.").first).to_be_visible()

    expect(line(log, "¿Hay cupo?")).to_be_visible()
    expect(line(log, "Sí, hay cupo.")).to_be_visible()
    assert log.evaluate("window.shift") < 0.001
    page.bring_to_front()
    expect(bubble(page, "Sí, hay cupo.")).to_have_attribute("data-side", "bot")
    expect(page.get_by_test_id("turn-row")).to_have_count(2)
    page.get_by_test_id("turn-row").first.click()
    expect(page.get_by_test_id("steps").locator("[data-kind=model]")).to_be_visible()

    phone.get_by_test_id("role").click()
    phone.get_by_test_id("text").fill("Sigo yo, soy Marta.")
    phone.get_by_test_id("send").click()
    expect(bubble(page, "Sigo yo")).to_have_attribute("data-side", "agent")
    expect(page.get_by_test_id("chat-state")).to_have_attribute("data-state", "paused")


def test_a_chat_is_taken_over_written_in_and_given_back(page: Page, stand: Stand) -> None:
    stand.script("hola", say("Hola, Pedro."))
    stand.ask(stand.site.gateway.customer_says, PEDRO, "hola", name="Pedro")
    stand.wait_received(PEDRO, "Hola, Pedro.")
    open_chat(page, "Pedro")
    page.get_by_test_id("number").first.click()
    expect(page.get_by_test_id("number").first).to_have_text(f"+{PEDRO}")
    page.get_by_test_id("take-over").click()
    expect(page.get_by_test_id("chat-state")).to_have_attribute("data-state", "paused")
    page.evaluate("window.shift = 0")
    page.get_by_test_id("agent").fill("Marta")
    page.get_by_test_id("words").fill("Soy Marta, te ayudo yo.")
    page.get_by_test_id("words").press("Enter")
    stand.wait_received(PEDRO, "Soy Marta")
    own = bubble(page, "Soy Marta")
    expect(own).to_have_attribute("data-side", "agent")
    stand.ask(stand.site.gateway.customer_says, PEDRO, "gracias, Marta", name="Pedro")
    expect(bubble(page, "gracias, Marta")).to_be_visible()
    assert page.evaluate("window.shift") < 0.05
    page.get_by_test_id("resume").click()
    expect(page.get_by_test_id("take-over")).to_be_visible()
    stand.script("¿sigues ahí?", say("Aquí sigo."))
    stand.ask(stand.site.gateway.customer_says, PEDRO, "¿sigues ahí?", name="Pedro")
    expect(bubble(page, "Aquí sigo.")).to_have_attribute("data-side", "bot")


def test_a_click_is_not_lost_when_the_page_updates_during_it(page: Page, stand: Stand) -> None:
    stand.script("buenas", say("Buenas, Tomás."))
    stand.ask(stand.site.gateway.customer_says, TOMAS, "buenas", name="Tomás")
    stand.wait_received(TOMAS, "Buenas")
    open_chat(page, "Tomás")
    expect(bubble(page, "Buenas, Tomás.")).to_be_visible()
    page.get_by_test_id("take-over").hover()
    page.mouse.down()
    gate = trio.Event()
    stand.script("un minuto", say("Claro.", gate=gate))
    stand.ask(stand.site.gateway.customer_says, TOMAS, "un minuto", name="Tomás")
    expect(bubble(page, "un minuto")).to_be_visible()
    page.mouse.up()
    expect(page.get_by_test_id("resume")).to_be_visible()
    stand.tell(gate.set)


def test_the_log_is_paused_searched_and_leads_to_the_turn(page: Page, stand: Stand) -> None:
    stand.script("una sábana", say("Enseguida la llevo, Rosa."))
    page.goto("/dashboard/log")
    expect(page.get_by_test_id("live")).to_have_attribute("data-state", "live")
    page.get_by_test_id("pause").click()
    stand.ask(stand.site.gateway.customer_says, ROSA, "una sábana más", name="Rosa")
    stand.wait_received(ROSA, "Enseguida")
    expect(page.get_by_test_id("newer")).to_be_visible()
    expect(line(page, "una sábana más")).to_have_count(0)
    page.get_by_test_id("pause").click()
    expect(line(page, "una sábana más")).to_be_visible()

    page.get_by_test_id("search").fill("enseguida LA llevo")
    expect(line(page, "Enseguida la llevo")).to_be_visible()
    expect(line(page, "una sábana más")).to_have_count(0)
    page.get_by_test_id("search").fill("")
    line(page, "una sábana más").get_by_role("button", name="Rosa").click()
    expect(page.get_by_test_id("only-chat")).to_be_visible()
    expect(line(page, "Enseguida la llevo")).to_be_visible()
    expect(line(page, "Laura")).to_have_count(0)

    time = line(page, "Enseguida la llevo").get_by_role("link")
    assert re.search(r"\d{4}", time.get_attribute("title") or "")  # the whole date on hover
    time.click()
    expect(page.get_by_test_id("chat-name")).to_have_text("Rosa")
    expect(page.get_by_test_id("steps").locator("[data-kind=model]")).to_be_visible()


def test_a_dead_letter_is_replayed(page: Page, stand: Stand) -> None:
    stand.script("mascotas", Step(status=400, code="invalid_prompt", message="no"))
    stand.ask(stand.site.gateway.customer_says, ROSA, "¿mascotas?", name="Rosa")
    page.goto("/dashboard/work")
    letter = page.get_by_test_id("dead-turn").filter(has_text="Rosa")
    stand.script("mascotas", say("Sí, y felices."))
    letter.get_by_test_id("replay").click()
    expect(page.get_by_test_id("toasts")).not_to_be_empty()
    stand.wait_received(ROSA, "felices")
    expect(letter.get_by_test_id("replay")).to_have_count(0)


def test_the_log_continues_after_a_kill_without_a_gap_or_a_repeat(page: Page, stand: Stand) -> None:
    gate = trio.Event()
    stand.script("antes", say("respondido antes"))
    stand.script("mientras", say("respondido después", gate=gate))
    page.goto("/dashboard/log")
    expect(page.get_by_test_id("live")).to_have_attribute("data-state", "live")
    stand.ask(stand.site.gateway.customer_says, IVAN, "antes", name="Iván")
    expect(line(page, "respondido antes")).to_be_visible()
    stand.ask(stand.site.gateway.customer_says, IVAN, "mientras", name="Iván")
    expect(line(page, "mientras")).to_be_visible()
    calls = len(stand.site.model.calls)
    stand.kill()
    expect(page.get_by_test_id("live")).to_have_attribute("data-state", "waiting")
    expect(page.get_by_test_id("offline")).to_be_visible()
    stand.start()
    stand.tell(gate.set)
    stand.wait_received(IVAN, "respondido después")
    expect(line(page, "respondido después")).to_be_visible()
    expect(page.get_by_test_id("offline")).to_be_hidden()
    expect(page.get_by_test_id("live")).to_have_attribute("data-state", "live")
    for words in ("respondido antes", "mientras", "respondido después"):
        expect(line(page, words)).to_have_count(1)
    shown = page.get_by_test_id("line").evaluate_all("rows => rows.map(row => +row.dataset.id)")
    stored = page.evaluate(
        "fetch('/dashboard/logs?limit=1000').then(a => a.json()).then(a => a.lines.map(l => l.id))"
    )
    assert sorted(set(shown)) == sorted(shown)
    assert {number for number in stored if min(shown) < number < max(shown)} <= set(shown)
    assert len(stand.site.model.calls) >= calls


def test_hostile_names_and_words_are_only_text(page: Page, stand: Stand) -> None:
    name = "<img src=x onerror=window.pwned=1>"
    words = (
        "<script>window.pwned=1</script><svg onload=alert(1)>"
        "\"'><iframe srcdoc='<script>parent.pwned=1</script>'> javascript:alert(1) {{7*7}} *b*"
    )
    stand.script("alert(1)", say(f"Eco: {words}"))
    stand.ask(stand.site.gateway.customer_says, MALA, words, name=name)
    stand.wait_received(MALA, "Eco")
    for path in ("/dashboard", "/dashboard/work", "/dashboard/log", "/dashboard/chats"):
        page.goto(path)
        page.wait_for_load_state("networkidle" if path == "/dashboard" else "load")
        assert page.evaluate("window.faults") == []
    page.get_by_test_id("search").fill("pwned")
    row = page.get_by_test_id("chat-row").filter(has_text=name)
    row.click()
    expect(page.get_by_test_id("chat-name")).to_have_text(name)
    expect(bubble(page, "{{7*7}}").first).to_contain_text("<script>window.pwned=1</script>")
    dangerous = ".bubble script, .bubble iframe, .bubble img, .bubble svg[onload]"
    assert page.locator(dangerous).count() == 0
    page.goto(f"/dashboard/chats?q={'%22%3E%3Cscript%3Ewindow.pwned=1%3C/script%3E'}")
    expect(page.get_by_test_id("search")).to_have_value('"><script>window.pwned=1</script>')
    page.goto("/dashboard/log")
    expect(line(page, "<svg onload=alert(1)>").first).to_be_visible()
