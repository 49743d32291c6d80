"""What people are told of, in words: nothing of a customer's beyond a beginning, no full number."""

import pytest

from daemon.domain import notification_texts
from daemon.domain.messages import ChatKey
from daemon.domain.notification_texts import MOST_LINES, TEXT_CHARACTERS, TITLES, Language

LAURA = ChatKey("CHANNEL", "573001234567@s.whatsapp.net")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Laura", "Laura (5730…4567)"),
        ("", "5730…4567"),
        ("573001234567", "5730…4567"),
        ("Laura\n\n 573009876543", "Laura 5730…6543 (5730…4567)"),
        ("L" * 100, "L" * 40 + " (5730…4567)"),
    ],
)
def test_a_notification_has_the_customers_name_and_masked_number(name: str, shown: str) -> None:
    assert notification_texts.who(name, LAURA) == shown


def escalation(reason: str, summary: str, heard: str = "", language: Language = "es") -> str:
    told = notification_texts.escalation(
        7,
        LAURA,
        name="",
        reason=reason,
        summary=summary,
        urgency="high",
        inbound=heard,
        language=language,
    )
    assert (told.reason, told.subject, told.key) == ("escalation", "7", LAURA)
    return told.line.removeprefix("5730…4567")


def test_an_escalation_has_the_beginning_of_its_summary() -> None:
    line = escalation("complaint", "Call 573009876543.\n" + "word " * 100, language="en")
    assert line.startswith(": complaint; Call 5730…6543. word")
    assert line.endswith("…; urgent")
    assert len(line) < TEXT_CHARACTERS + 60
    assert "\n" not in line


HEARD = "Quiero  hablar con un asesor, mi clave es 1234"


@pytest.mark.parametrize(
    ("reason", "summary", "line"),
    [
        ("arrival", "", ": arrival; urgente"),
        ("Pide una persona", "Quiere facturar", ": Pide una persona; Quiere facturar; urgente"),
        (HEARD, HEARD, ": urgente"),
        ("asesor", "Dice que mi clave es 1234 y nada más.", ": asesor; urgente"),
        ("hablar con un", "", ": urgente"),
    ],
)
def test_a_notification_does_not_quote_the_customer(reason: str, summary: str, line: str) -> None:
    assert escalation(reason, summary, HEARD) == line


def test_two_waits_are_distinguished() -> None:
    first, same, later = (
        notification_texts.waiting(LAURA, name="", since=since, clock="10:00", language="en")
        for since in (100.0, 100.0, 200.0)
    )
    assert first.subject == same.subject != later.subject
    assert first.line == "5730…4567: waiting since 10:00"


@pytest.mark.parametrize("language", ["es", "en"])
def test_every_reason_has_a_title_and_many_occasions_are_one_notification(
    language: Language,
) -> None:
    lines = [f"line {n}" for n in range(MOST_LINES + 3)]
    for reason, title in TITLES[language].items():
        told = notification_texts.notification(
            reason, lines, language=language, link="https://a.example/d"
        )
        assert told[0] == f"Recado: {title}"
        *shown, more, link = told[1].splitlines()
        assert shown == [f"• line {n}" for n in range(MOST_LINES)]
        assert "3" in more
        assert link == "https://a.example/d"
    assert notification_texts.notification("budget", ["x"], language=language, link="")[1] == "• x"
