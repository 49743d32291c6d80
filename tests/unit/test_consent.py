"""What a burst says about being written to: whole messages, in any spelling, in both languages."""

import pytest

from daemon.domain.eligibility import LONGEST_WORDS, ConsentRules, Wish, plain, plain_words, wish_of
from daemon.domain.messages import ChatKey, Choice, Media, Message, Text
from daemon.settings.chats import ContactSettings

DEFAULTS = ContactSettings()
RULES = ConsentRules(
    out_words=plain_words(DEFAULTS.opt_out_words), in_words=plain_words(DEFAULTS.opt_in_words)
)


def burst(*texts: str, chat: str = "573001234567@s.whatsapp.net") -> list[Message]:
    key = ChatKey("c", chat)
    return [
        Message(id=f"m-{n}", key=key, kind="text", content=Text(body=text))
        for n, text in enumerate(texts)
    ]


@pytest.mark.parametrize(
    "words",
    ["baja", "BAJA", " Baja. ", "«baja»", "Darme de baja!", "no mas mensajes", "No más  mensajes",
     "STOP", "Stop.", "unsubscribe"],
)  # fmt: skip
def test_a_message_that_is_such_a_word_is_a_wish(words: str) -> None:
    assert wish_of(burst(words), RULES, opted_out=False) == Wish(choice="out", alone=True)


@pytest.mark.parametrize(
    "words",
    ["", "¿Me dan de baja el pedido?", "la baja temporada", "stop at the corner", "no", "bajar",
     "baja " * 20_000],
)  # fmt: skip
def test_a_sentence_with_such_a_word_is_none(words: str) -> None:
    assert wish_of(burst(words), RULES, opted_out=False) == Wish()


def test_a_button_with_such_a_word_is_a_wish() -> None:
    tapped = Choice(choice_id="row-7", title="Darme de baja")
    message = Message(id="m", key=ChatKey("c", "1"), kind="reply", content=tapped)
    assert wish_of([message], RULES, opted_out=False) == Wish(choice="out", alone=True)


def test_opt_in_words_have_no_effect_without_an_opt_out() -> None:
    assert wish_of(burst("alta"), RULES, opted_out=False) == Wish()
    assert wish_of(burst("ALTA"), RULES, opted_out=True) == Wish(choice="in", alone=True)
    assert wish_of(burst("Start"), RULES, opted_out=True) == Wish(choice="in", alone=True)


def test_the_last_wish_counts_and_the_rest_is_answered() -> None:
    assert wish_of(burst("¿Abren hoy?", "stop"), RULES, opted_out=False) == Wish(choice="out")
    assert wish_of(burst("stop", "alta"), RULES, opted_out=True) == Wish(choice="in", alone=True)
    assert wish_of([], RULES, opted_out=True) == Wish()


def test_in_groups_and_without_words_there_is_no_wish() -> None:
    assert wish_of(burst("stop", chat="1203630@g.us"), RULES, opted_out=False) == Wish()
    assert wish_of(burst("stop"), ConsentRules(), opted_out=True) == Wish()
    picture = Message(
        id="m", key=ChatKey("c", "1"), kind="image", content=Media(medium="image", caption="stop")
    )
    assert wish_of([picture], RULES, opted_out=False) == Wish()


def test_long_texts_are_not_looked_at() -> None:
    assert plain("a" * LONGEST_WORDS) == "a" * LONGEST_WORDS
    assert plain("a" * (LONGEST_WORDS + 1)) == ""
    assert plain("Ñandú, ¿qué tal?") == "nandu que tal"
