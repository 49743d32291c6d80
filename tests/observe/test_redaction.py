import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.domain.redaction import Redactor, is_card, mask_numbers, mask_private

NUMBERS = st.from_regex(r"[1-9][0-9]{9,14}", fullmatch=True)
PRINTABLE = st.characters(min_codepoint=33, max_codepoint=126)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("573001234567", "5730…4567"),
        ("573001234567@s.whatsapp.net", "5730…4567@s.whatsapp.net"),
        ("chat CO.13491208655302741918@bsuid", "chat CO.1349…@bsuid"),
        ("US.ENT.11815799212886844830", "US.ENT.1181…"),
        ("+57 300 123 4567", "5730…4567"),
        ("300 123 4567", "300…567"),
        ("true_573001234567@c.us_3EB0", "true_5730…4567@c.us_3EB0"),
        ("573001234567-1612345678@g.us", "5730…4567-161…678@g.us"),
        ("cel3001234567.", "cel300…567."),
        ("1.573001234567", "1.5730…4567"),
        ("12345678", "12…78"),
        ("+57\u00a0300\u00a01234567", "5730…4567"),
        ("\u202a+1\u202f(555)\u2011123\u20114567\u202c", "\u202a155…567\u202c"),
        ("+57 300\n1234567", "5730…4567"),
        ("+57 - 300 - 123 - 4567", "5730…4567"),
        ("300 123 45 67", "300…567"),
        ("(300) 123-4567", "(300…567"),
    ],
)
def test_phone_numbers_are_shortened(text: str, masked: str) -> None:
    assert mask_numbers(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "1712995245.123",
        "0.12345678901",
        "2026-07-26T12:03:44.123456Z",
        "12345678-1234-1234-1234-123456789012",
        "3EB0C767D09712345678",
        "PsqXxx12345678-wAbCd",
        "$ 1.200.000 por 840000",
        "12:03:44",
        "del 12/12/2026 al 14/12/2026",
        "2026-12-12 2026-12-14",
        "101 (doble): $180,000 a night, 102: 95.000",
        "100 % de 250\\n300%20",
        "4111 / 1111 / 1111 / 1112",
    ],
)
def test_other_digits_are_not_masked(text: str) -> None:
    assert mask_numbers(text) == text


@given(NUMBERS, st.text(alphabet=" ,;:!?@_/()[]<>\"'\n#*é🙂", max_size=8))
def test_no_phone_number_survives_between_any_signs(number: str, sign: str) -> None:
    masked = mask_numbers(f"{sign}{number}{sign}")
    assert number not in masked
    assert masked == f"{sign}{mask_numbers(number)}{sign}"


@given(st.text())
def test_text_without_digits_is_untouched(text: str) -> None:
    plain = "".join(sign for sign in text if not sign.isdigit())
    assert mask_numbers(plain) == plain


@given(st.text(alphabet=PRINTABLE, min_size=8, max_size=40), st.text())
def test_no_secret_survives_anywhere(secret: str, around: str) -> None:
    redacted = Redactor([secret]).text(around + secret + around)
    assert secret not in redacted.replace("[secret]", "\x00\x01\x00")


def test_credentials_that_are_not_configured_are_removed_too() -> None:
    text = "Authorization: Bearer abcdefgh, sk-proj-abcdef12345 GET /chats?token=abc123&count=1"
    assert Redactor().text(text) == (
        "Authorization: Bearer [secret], [secret] GET /chats?token=[secret]&count=1"
    )


def test_short_secret_is_removed_only_as_a_word() -> None:
    assert Redactor(["dev"]).text("the device dev") == "the device [secret]"


def test_the_longer_secret_is_masked_first() -> None:
    assert Redactor(["abcdefgh", "abcdefgh-ijkl"]).text("abcdefgh-ijkl") == "[secret]"


def test_nested_values_are_redacted_and_numbers_kept() -> None:
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError

    value = {
        "573001234567": [b"573001234567", {"to": ("573001234567",)}],
        "at": 1712995245123,
        "ratio": float("nan"),
        "fault": ValueError("573001234567"),
        "broken": Broken(),
    }
    assert Redactor().value(value) == {
        "5730…4567": ["5730…4567", {"to": ["5730…4567"]}],
        "at": 1712995245123,
        "ratio": "nan",
        "fault": "5730…4567",
        "broken": "<Broken that cannot be shown>",
    }


def test_a_word_that_comes_again_is_shown_the_same() -> None:
    redactor = Redactor(["whapi-token-Zx81q"])
    words = ["573001234567@s.whatsapp.net", "whapi-token-Zx81q", "Laura"]
    once, again = [[redactor.text(word) for word in words] for _ in range(2)]
    assert once == again == ["5730…4567@s.whatsapp.net", "[secret]", "Laura"]


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("tarjeta 4111 1111 1111 1111 vence 12/29", "tarjeta …1111 vence 12/29"),
        ("4111111111111111", "…1111"),
        ("5500-0000-0000-0004", "…0004"),
        ("378282246310005", "…0005"),
        ("mi correo es ana.gomez+viaje@hotel.com.co.", "mi correo es a…@hotel.com.co."),
        ("<ñandú@ejemplo.es>", "<ñ…@ejemplo.es>"),
        ("573001234567@s.whatsapp.net", "5730…4567@s.whatsapp.net"),
        ("120363012345678901@g.us", "120363012345678901@g.us"),
        ("\u0663\u0660\u0660\u0661\u0662\u0663\u0664\u0665\u0666\u0667", "300…567"),
        (
            "\uff0b\uff15\uff17 \uff13\uff10\uff10 \uff11\uff12\uff13\uff14\uff15\uff16\uff17",
            "\uff0b5730…4567",
        ),
        ("".join(f"{digit}\ufe0f\u20e3" for digit in "3001234567"), "300…567\ufe0f\u20e3"),
        (
            "\U0001d7db\U0001d7d8\U0001d7d8\U0001d7d9\U0001d7da\U0001d7db\U0001d7dc\U0001d7dd",
            "30…45",
        ),
        ("300\u200b123\u200b4567", "300…567"),
        ("600 12 34 56 78", "600…678"),
        ("11 2345 6789", "112…789"),
        ("CC 1.020.345.678", "CC 102…678"),
        ("NIT 900.123.456-7", "NIT 900…567"),
        ("RUT 12.345.678-K", "RUT 1…K"),
        ("CPF 123.456.789-09", "CPF 123…909"),
        ("4111/1111/1111/1111", "…1111"),
        ("4111·1111·1111·1111", "…1111"),
        ("4111  -  1111  -  1111  -  1111", "…1111"),
        ("3782_822463_10005", "…0005"),
        ("TARJETA4111111111111111", "TARJETA…1111"),
        ("4111111111111111cvv123", "…1111cvv123"),
        ("CEL3001234567", "CEL300…567"),
        ("KeyError('300\\xa0123\\n4567')", "KeyError('300…567')"),
        ('{"a": "4111\\u00a01111\\u00a01111\\u00a01111"}', '{"a": "…1111"}'),
        (r"\u0663\u0660\u0660\u0661\u0662\u0663\u0664\u0665\u0666\u0667", "300…567"),
        (
            "https://x.co/?m=ana%40example.com&t=300%20123%204567",
            "https://x.co/?m=a…@example.com&t=300…567",
        ),
        ("ana\uff20example.com", "a…@example.com"),
        ("\u2778\u24ff\u24ff\u2776\u2777\u2778\u2779\u277a\u277b\u277c", "300…567"),
        ("DNI 12345678Z", "DNI 1…Z"),
        ("NIE X1234567L", "NIE X…L"),
        ("CURP GODE561231HDFRRN09", "CURP G…9"),
        ("RFC GODE561231GR8", "RFC G…8"),
        ("SSN 123-45-6789", "SSN 1…9"),
        ("pasaporte AB123456", "pasaporte A…6"),
        ("IBAN ES91 2100 0418 4502 0005 1332", "IBAN E…2"),
        (
            '{"phone": "3001234567", "card": "4111111111111111"}',
            '{"phone": "300…567", "card": "…1111"}',
        ),
    ],
)
def test_ids_of_people_are_shortened(text: str, masked: str) -> None:
    assert mask_private(text) == masked
    assert mask_private(masked) == masked


@pytest.mark.parametrize(
    "text",
    [
        "10.0.0.12:38211 from 192.168.100.200",
        "2026-11-29 23:37:49 2026-11-30",
        "total 1.200.000, seña 350.000",
        "$12.345.678 y € 1.234.567",
        "@laura a las 3",
        "p.w30M7fgwWD4XwHu-gBgTwl0rVw",
        "1712995245123456788",
        "5 noches, 2 adultos, 3 niños",
    ],
)
def test_lookalikes_of_secrets_stay(text: str) -> None:
    assert mask_private(text) == text


@given(st.integers(10**12, 10**18 - 1), st.sampled_from(["", " ", "-", "."]))
def test_no_card_survives_however_it_is_written(number: int, between: str) -> None:
    """The check digit is added, so each of these is a card's number."""
    digits = next(f"{number}{check}" for check in range(10) if is_card(f"{number}{check}"))
    written = between.join(digits[at : at + 4] for at in range(0, len(digits), 4))
    masked = mask_private(f"pago con {written}, gracias")
    assert written not in masked
    assert sum(map(str.isdigit, masked)) <= 8


def test_the_setting_selects_how_much_of_messages_is_logged() -> None:
    said = {"text": "llámame al 3001234567", "name": "Laura", "chat": "573001234567", "n": 1}
    assert Redactor(words="masked").fields(said)["text"] == "llámame al 300…567"
    assert Redactor(words="none").fields(said) == {"chat": "5730…4567", "n": 1}
    assert Redactor(["Laura"], words="full").fields(said) == {**said, "name": "[secret]"}
