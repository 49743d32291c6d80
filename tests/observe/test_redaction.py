import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.observe.redaction import Redactor, mask_numbers

NUMBERS = st.from_regex(r"[1-9][0-9]{9,14}", fullmatch=True)
PRINTABLE = st.characters(min_codepoint=33, max_codepoint=126)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("573001234567", "5730…4567"),
        ("573001234567@s.whatsapp.net", "5730…4567@s.whatsapp.net"),
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
    ],
)
def test_what_is_no_phone_number_stays(text: str) -> None:
    assert mask_numbers(text) == text


@given(NUMBERS, st.text(alphabet=" ,;:!?@_/()[]<>\"'\n#*é🙂", max_size=8))
def test_no_phone_number_survives_between_any_signs(number: str, sign: str) -> None:
    masked = mask_numbers(f"{sign}{number}{sign}")
    assert number not in masked
    assert masked == f"{sign}{mask_numbers(number)}{sign}"


@given(st.text())
def test_text_without_digits_is_untouched(text: str) -> None:
    plain = "".join(sign for sign in text if not ("0" <= sign <= "9"))
    assert mask_numbers(plain) == plain


@given(st.text(alphabet=PRINTABLE, min_size=8, max_size=40), st.text())
def test_no_secret_survives_anywhere(secret: str, around: str) -> None:
    redacted = Redactor([secret]).text(around + secret + around)
    assert secret not in redacted.replace("[secret]", "\x00\x01\x00")


def test_credentials_nobody_configured_are_removed_too() -> None:
    text = "Authorization: Bearer abcdefgh, sk-proj-abcdef12345 GET /chats?token=abc123&count=1"
    assert Redactor().text(text) == (
        "Authorization: Bearer [secret], [secret] GET /chats?token=[secret]&count=1"
    )


def test_short_secret_is_removed_only_as_a_word() -> None:
    assert Redactor(["dev"]).text("the device dev") == "the device [secret]"


def test_longer_secret_goes_first() -> None:
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
