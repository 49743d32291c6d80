"""The words of a text as a search compares them: without accents, endings and stop words. Pure.

Spanish and English. A passage is stemmed in its own language; a word of a question counts in both,
since a short question does not show its language.
"""

import re
import unicodedata
from functools import lru_cache
from itertools import filterfalse

from snowballstemmer import stemmer  # type: ignore[import-untyped]

WORD = re.compile(r"[^\W_]+")

STEMS_KEPT = 50_000
"""Words whose stem is remembered: stemming one takes some 30 µs."""

LONGEST_WORD = 40
"""Characters of a word that count."""

SPANISH = frozenset(
    """
    a al algo algun alguna algunas alguno algunos ante antes aqui asi aun aunque bajo bien buen
    buena buenas bueno buenos cada casi como con contra cosa cual cuales cualquier cuando de del
    desde donde dos e el ella ellas ellos en entre era eran eres es esa esas ese eso esos esta
    estaba estamos estan estar estas este esto estos estoy fue fueron gracias ha haber habia
    hacen hacer hago han has hasta hay he hemos hola la las le les lo los mas me mi mio mis
    mucho muy nada ni no nos nosotros nuestra nuestro o os otra otras otro otros para pero
    podemos podria podriamos por porque pueda puede pueden puedes puedo pues que quien quiere
    quiero quisiera saber se sea ser si sin sobre solo somos son soy su sus tambien te tendra
    tener tengo ti tiene tienen tienes tu tus un una unas uno unos usted ustedes va vais vamos
    van voy y ya yo favor dime digame
    """.split()  # noqa: SIM905 - a list of words reads best as a text
)
ENGLISH = frozenset(
    """
    a about after all also am an and any are as at be been before being but by can could d did
    do does doing each for from get give had has have having he hello her here hers hi him his
    how i if in into is it its just know like ll m may me might my need no nor not now of off on
    one only or other our ours out over own please re s same she should so some such t tell than
    thank thanks that the their theirs them then there these they this those to too under until
    up us ve very want was we were what when where which while who whom why will with would you
    your yours
    """.split()  # noqa: SIM905
)
"""Words without meaning for a search, without accents."""

STOP_WORDS = SPANISH | ENGLISH

_RESTORED = re.compile(r"([cs])ion$")
_SHORT_VERB = re.compile(r"(.{3})(?:[aei]r|[ae]n?|o)$")
"""What the stemmer leaves at the end of short words: "abren", "abrir"; "buceo", "bucear"."""


def folded(text: str) -> str:
    """Lower case, without accents: "Niños" is "ninos"."""
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(filterfalse(unicodedata.combining, decomposed))


def words_of(text: str) -> list[str]:
    """The words of a text, folded, in their order."""
    words: list[str] = WORD.findall(folded(text))
    if max(map(len, words), default=0) > LONGEST_WORD:
        return [word[:LONGEST_WORD] for word in words]
    return words


def language_of(text: str, otherwise: str = "es") -> str:
    """``es`` or ``en``, by the stop words of a text; ``otherwise`` if these do not show it."""
    words = words_of(text)
    english = sum(word in ENGLISH for word in words) - sum(word in SPANISH for word in words)
    return otherwise if english == 0 else "en" if english > 0 else "es"


@lru_cache(STEMS_KEPT)
def stem(word: str, language: str) -> str:
    """The stem of a folded word."""
    if word.isdecimal():
        return word
    if language == "en":
        return _stemmed(word, "english")
    # Without its accent the stemmer does not know this ending.
    found = folded(_stemmed(_RESTORED.sub(r"\1ión", word), "spanish"))
    return _SHORT_VERB.sub(r"\1", found)


def _stemmed(word: str, language: str) -> str:
    return str(stemmer(language).stemWord(word))


def terms_of(text: str, language: str = "") -> list[str]:
    """The stems of a text, without stop words, in its language."""
    language = language or language_of(text)
    return [stem(word, language) for word in words_of(text) if word not in STOP_WORDS]


def asked_terms(question: str) -> list[tuple[str, ...]]:
    """The words of a question, each as the stems by which a passage may have it.

    Without stop words, unless the question has nothing else. Each group once.
    """
    words = words_of(question)
    significant = [word for word in words if word not in STOP_WORDS] or words
    groups: dict[str, dict[str, None]] = {}
    for word in significant:
        found = groups.setdefault(stem(word, "es"), {})
        found |= dict.fromkeys((stem(word, "es"), stem(word, "en")))
    return [tuple(group) for group in groups.values()]
