"""What a message costs: by its category, and the country of who gets it."""

import pytest

from daemon.domain.gateway_prices import CountryPrices, PriceList

LIST = PriceList(
    countries={
        "CO": CountryPrices(calling_code="57", amounts={"utility": 0.0008, "service": 0.0002}),
        "US": CountryPrices(calling_code="1", amounts={"utility": 0.004}),
        "DO": CountryPrices(calling_code="1809", amounts={"utility": 0.01}),
        "other": CountryPrices(amounts={"utility": 0.02}),
    }
)


@pytest.mark.parametrize(
    ("chat", "country"),
    [
        ("573001234567@s.whatsapp.net", "CO"),
        ("15550100000@s.whatsapp.net", "US"),
        ("18095550100@s.whatsapp.net", "DO"),
        ("4915112345678@s.whatsapp.net", "other"),
        ("CO.13491208655302741918@bsuid", "CO"),
        ("MX.13491208655302741918@bsuid", "other"),
        ("88012345678901@lid", "other"),
        ("120363000000000042@g.us", "other"),
    ],
)
def test_the_country_is_named_by_the_id_or_by_the_number(chat: str, country: str) -> None:
    assert LIST.country_of(chat) == country


@pytest.mark.parametrize(
    ("chat", "category", "micros"),
    [
        ("573001234567@s.whatsapp.net", "utility", 800),
        ("573001234567@s.whatsapp.net", "service", 200),
        ("573001234567@s.whatsapp.net", "marketing", 0),
        ("4915112345678@s.whatsapp.net", "utility", 20_000),
        ("573001234567@s.whatsapp.net", "free", 0),
    ],
)
def test_what_has_no_price_costs_nothing(chat: str, category: str, micros: int) -> None:
    assert LIST.micros(chat, category) == micros
    assert PriceList().micros(chat, category) == 0
