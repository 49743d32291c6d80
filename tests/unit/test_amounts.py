"""The amounts validator on labelled replies, one rule at a time, and on hostile texts."""

import string
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.labelled_replies import PARTS, is_kept, load_cases

from daemon.domain.validation.amount_sources import read_sources
from daemon.domain.validation.amounts import unexplained_amounts
from daemon.domain.validation.figures import figures
from daemon.domain.validation.quantities import Quantity, quantities, shares

MOST_REJECTED = 0.02
LEAST_DETECTED = 0.85


def test_hardly_a_correct_reply_is_rejected_and_most_wrong_ones_are_found() -> None:
    """The goal over all labelled replies, half of them with one wrong figure."""
    cases = [case for part in PARTS for case in load_cases(part)]
    assert len(cases) * 2 >= 300
    rejected = [case.candidate.text for case in cases if not is_kept(case.candidate)]
    missed = [case.wrong.text for case in cases if is_kept(case.wrong)]
    assert len(rejected) <= MOST_REJECTED * len(cases), rejected
    assert len(missed) <= (1 - LEAST_DETECTED) * len(cases), missed
    kinds = {case.slip for case in cases}
    assert {"transposed", "magnitude", "product", "sum", "count", "stale", "swapped"} <= kinds
    assert {case.language for case in cases} == {"es", "en"}


def counted(text: str) -> set[Quantity]:
    return set(quantities(text, list(figures(text))))


@pytest.mark.parametrize(
    ("text", "count", "unit"),
    [
        ("por 3 noches", 3, "day"),
        ("for three nights", 3, "day"),
        ("quince días", 15, "day"),
        ("toda la quincena", 15, "day"),
        ("media hora", 0.5, "hour"),
        ("dos horas y media", 2.5, "hour"),
        ("2 kilos y medio", 2.5, "kg"),
        ("two and a half hours", 2.5, "hour"),
        ("90 minutos", 1.5, "hour"),
        ("500 gramos", 0.5, "kg"),
        ("un mes", 1, "month"),
        ("una semana", 7, "day"),
        ("over two years", 24, "month"),
        ("for a quarter", 3, "month"),
        ("medio año", 6, "month"),
        ("3 docenas", 36, "piece"),
        ("treinta y cinco personas", 35, "person"),
        ("ciento veinte empanadas", 120, "empanadas"),
        ("1.000 volantes", 1000, "volantes"),
        ("del 12 al 15 de diciembre", 3, "day"),
        ("from Friday to Sunday", 2, "day"),
        ("del 28 de diciembre al 2 de enero", 5, "day"),
        ("2026-08-01 a 2026-08-15", 14, "day"),
        ("de 8 a 10 pm", 2, "hour"),
        ("3, 6 or 12 months", 6, "month"),
        ('{"nights": 4}', 4, "day"),
        ("5 adultos y 1 niño", 6, "people together"),
        ("ida y vuelta", 2, "way"),
    ],
)
def test_quantities_are_read_in_digits_words_and_ranges(text: str, count: float, unit: str) -> None:
    assert Quantity(count, unit) in counted(text)


@pytest.mark.parametrize(
    "text",
    ["$180.000", "el 3 de mayo", "cel 310 555 1234", "placa KLM 345", "a las 7:30", "1. Suite"],
)
def test_a_figure_without_a_noun_is_no_quantity(text: str) -> None:
    assert not any(quantity.unit for quantity in counted(text))


def test_shares_are_percentages_and_words() -> None:
    text = '15 % ahora, la mitad después {"iva": 19, "discount_pct": 0.1}'
    assert shares(text, list(figures(text))) == {0.15, 0.5, 0.19, 0.1}


ROOMS = '[{"room": "Doble", "price": 180000}, {"room": "Suite", "price": 320000}]'
RULES = {
    "said": "La doble cuesta $180.000.",
    "times a quantity of the customer": "Te queda en $540.000.",
    "times two quantities": "Con 2 camas extra por 3 noches son $1.080.000.",
    "shared": "Son $90.000 por persona.",
    "rounded down": "La noche sale a unos $60.000 por cabeza si van 3 personas.",
    "a discount": "Con el 10 % menos, $162.000.",
    "a tax": "Con IVA del 19 % son $214.200.",
    "half": "Se separa con la mitad: $90.000.",
    "a sum": "Una noche en cada una: $500.000.",
    "a difference": "Te ahorras $140.000 con la doble.",
    "a sum of products": "Doble $180.000, suite $320.000. 2 noches y 1 noche: $680.000.",
}
BROKEN = (
    "La doble cuesta $810.000.",
    "Te queda en $450.000.",
    "Por 3 noches son $720.000.",
    "Con el 10 % menos, $172.000.",
    "Con IVA del 19 % son $241.200.",
    "Doble $180.000 + suite $320.000 = $520.000.",
    "La suite cuesta $180.000.",
)


@pytest.mark.parametrize("rule", RULES)
def test_an_amount_may_be(rule: str) -> None:
    assert unexplained(RULES[rule]) == []


@pytest.mark.parametrize("text", BROKEN)
def test_an_amount_may_not_be(text: str) -> None:
    assert len(unexplained(text)) == 1


def unexplained(text: str) -> list[str]:
    sources = read_sources(
        inbound="Somos 2, por 3 noches", tools=(ROOMS,), instructions=(), before=()
    )
    return [amount.written for amount in unexplained_amounts(text, sources)]


def test_an_earlier_price_is_wrong_if_a_tool_returns_another() -> None:
    told = read_sources(
        inbound="¿la doble?", tools=(ROOMS,), instructions=(), before=("La doble está a $170.000.",)
    )
    assert unexplained_amounts("La doble cuesta $170.000.", told)
    assert not unexplained_amounts("La doble cuesta $180.000 (antes $170.000).", told)


HOSTILE = {
    "digits": "1" * 50_000,
    "separators": "1." * 25_000,
    "commas": "1" + "," * 50_000 + "1",
    "currency": "$" * 50_000,
    "spaces": "$ " + " " * 50_000 + "5",
    "many amounts": " ".join(f"${n}.000" for n in range(1, 5_000)),
    "many quantities": " ".join(f"{n} noches" for n in range(1, 5_000)),
    "words": "treinta y " * 10_000,
    "months": "3 de " * 10_000 + "mayo",
    "ranges": "1 a " * 15_000,
    "brackets": "(" * 50_000 + "$5.000",
    "sentences": ". " * 25_000 + "$5.000",
    "names": "calle " * 10_000 + "5.000",
    "percent": "5 % " * 10_000 + "$5.000",
    "nested": '{"a":' * 20_000 + "1",
    "lists": "[" + ",".join('{"name": "x y", "price": 5}' for _ in range(5_000)) + "]",
}
SECONDS = 20.0
"""Each takes a second; what is not linear takes minutes."""


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_texts_take_no_time(kind: str) -> None:
    text = HOSTILE[kind]
    began = time.process_time()
    sources = read_sources(inbound=text, tools=(text,), instructions=(), before=(text,))
    unexplained_amounts(text, sources)
    unexplained_amounts(text, read_sources(inbound="", tools=(ROOMS,), instructions=(), before=()))
    assert time.process_time() - began < SECONDS


SIGNS = st.lists(
    st.sampled_from([*string.digits, *"$€%.,'-/:()=+ \n", *"aeknoxyñ", " mil ", "½", " noches "]),
    max_size=200,
).map("".join)


@settings(deadline=None, max_examples=200)
@given(SIGNS, SIGNS)
def test_no_text_is_a_fault(answer: str, output: str) -> None:
    sources = read_sources(inbound=output, tools=(output, ROOMS), instructions=(), before=(answer,))
    for amount in unexplained_amounts(answer, sources):
        assert amount.written
        assert answer[amount.start : amount.end].strip()


@pytest.mark.parametrize("digit", ["\u24ea", "\u2460", "\u00b2", "\u0663", "\u137c", "\u5104"])
def test_circled_and_raised_digits_switch_no_check_off(digit: str) -> None:
    """A customer who writes one does not get an amount past that nobody said."""
    heard = f"{digit} noches y {digit}{digit} mil"
    sources = read_sources(inbound=heard, tools=(), instructions=(), before=())
    assert unexplained_amounts(f"Son $180.000. {digit} {digit}", sources)
