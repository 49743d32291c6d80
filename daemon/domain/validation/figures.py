"""The figures of a text, each with its role: an amount of money, a percentage, a count. Pure.

Reads the notations of Latin America, Spain and English: ``$1.234.567``, ``1,234,567 COP``,
``US$ 45.50``, ``180 mil``, ``1,2 millones``, ``180k``, ``1'200.000``. The role follows from the few
characters beside a figure, so reading takes time in proportion to the text. In data, which tools
give most often as JSON, it also follows from the name of the value.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

# -- names of values in data: ``price`` is money, ``nights`` a count -------------------------------


_PRICE_KEY = re.compile(
    r"pric|preci|cost|valor|value|tarif|rate|monto|importe|amount|fee|charge|cargo|total|deposit"
    r"|abono|anticip|saldo|balance|honorar|canon|rent|prima|premium|budget|ahorro|saving"
    r"|(?:^|_)(?:per|por|usd|cop|eur|mxn|clp|pen|ars|gbp)(?:_|$)"
)
_COUNT_KEY = re.compile(
    r"^(?:kg|m2|area|lbs?|min|max)$|(?:^|_)(?:nights|noches|dias|days|hours|horas|minut\w*|mins?|persons"
    r"|people|personas|pax|guests?|huesped(?:es)?|adults?|adultos|children|qty|quantity|cantidad|units"
    r"|unidades|stock|sessions|sesiones|clases|classes|cupos?|capacidad|capacity|months|meses|plazo"
    r"|years|anos|weeks|semanas|cuotas|porciones|edad|age|tallas?|size|permanencia|stars?|estrellas)"
    r"(?:_(?:min|max|minimo|maximo|incluid[ao]s|included))?$"
)
_NAME_KEY = re.compile(
    r"(?:^|_)(?:id|ids|ref|code|codigo|código|sku|phone|tel|telefono|teléfono|celular|nit|cedula|date"
    r"|fecha|year|numero|número|number|order|pedido|guia|placa|zip|lat|lng|lon"
    r"|latitude|longitude|rating|estrato|version|check_in|check_out)$|^(?:room|hab|habitacion)$",
    re.IGNORECASE,
)
_PERCENT_KEY = re.compile(
    r"pct|percent|porcent|descuento|discount|iva|vat|tax|impuesto|comision|commission|propina|tip"
    r"|recargo|surcharge|inter[eé]s|interest|_off",
    re.IGNORECASE,
)
_CENTS_KEY = re.compile(r"cents|centavos|minor", re.IGNORECASE)


def is_percent_key(name: str) -> bool:
    """True for the name of a percentage: ``discount_pct``, ``iva``."""
    return bool(_PERCENT_KEY.search(name))


def is_price_key(name: str) -> bool:
    """True for the name of an amount of money."""
    return bool(_PRICE_KEY.search(plain(name)))


def is_count_key(name: str) -> bool:
    """True for the name of a quantity."""
    bare = plain(name)
    return bool(_COUNT_KEY.search(bare)) and not _PRICE_KEY.search(bare)


def is_name_key(name: str) -> bool:
    """True for the name of an identifier: an id, a telephone number, a date."""
    return bool(_NAME_KEY.search(name))


def is_in_cents(name: str) -> bool:
    """True for the name of an amount in hundredths."""
    return bool(_CENTS_KEY.search(name))


def plain(text: str) -> str:
    """Lower case without accents: ``Días`` and ``dias`` are one word."""
    decomposed = unicodedata.normalize("NFD", text.casefold())
    return "".join(c for c in decomposed if not unicodedata.combining(c))


Role = Literal["money", "grouped", "counted", "percent", "plain", "other"]
"""``money`` has a currency; ``grouped`` is written like a large sum without one; ``counted`` is
written so too, but a counted word follows; ``plain`` may be a count or a bare price in data;
``other`` is part of a date, a telephone number or a code."""

MAX_FIGURES = 2_000
"""Of one text; later ones are ignored."""

_BESIDE = 44
"""Characters before and after a figure from which its role is read."""

_LONGEST = 24
"""Characters; a longer figure is a code."""

NUMBER = re.compile(r"(?<![0-9])[0-9]+(?:[.,'\u2019\u00a0\u202f][0-9]+)*")

_CODES = (
    "COP|USD|EUR|GBP|MXN|PEN|CLP|ARS|BRL|UYU|BOB|PYG|CRC|GTQ|DOP|VES|CAD|AUD|NZD|CHF|JPY|INR|ZAR"
)
_BEFORE = re.compile(
    rf"(?:[$€£¥₡₲₱₹]|\bS/\.?|\bBs\.?|\bR\$|\b(?:{_CODES}))\s?[*_~]{{0,2}}$", re.IGNORECASE
)
_CURRENCY = (
    rf"(?:(?:{_CODES}|pesos?|pesitos|d[oó]lar(?:es)?|dollars?|bucks|euros?|soles|pounds?|quid"
    r"|libras|bol[ií]vares|bolivianos|quetzales|colones|guaran[ií]es|rea(?:le)?is|lucas|lukas)"
    r"(?!\w))"
)
_AFTER = re.compile(rf"[*_~]{{0,2}}\s?(?:(?:de\s)?{_CURRENCY}|[€£$](?!\s?[0-9]))", re.IGNORECASE)
_TIMES = re.compile(
    r"\s?(mil(?:lones|l[oó]n)?|millions?|thousand|lucas|lukas|palos?|k|m)(?!\w)", re.IGNORECASE
)
_SHARED_TIMES = re.compile(
    r"\s?(?:-|\u2013|a|y|o|to|and|or)\s?\$?[0-9]{1,4}(?:[.,][0-9]{1,2})?\s?(mil(?:lones)?|k|thousand|million)"
    r"(?!\w)",
    re.IGNORECASE,
)
"""After the first of two: ``$180-200 mil``."""
_MULTIPLE = {"mil": 1e3, "thousand": 1e3, "lucas": 1e3, "lukas": 1e3, "k": 1e3}
_PERCENT = re.compile(r"\s?%|\s(?:por ciento|percent|per cent|pct)(?!\w)", re.IGNORECASE)
_GROUPED = re.compile(r"[0-9]{1,3}(?:([.,'\u2019\u00a0\u202f])[0-9]{3})(?:[.'\u2019,][0-9]{3})*")

_JOINED_BEFORE = re.compile(r"(?:(?<![^\W_])x|([\w/:#@+&=-]|[0-9][., ]))$")
_JOINED_AFTER = re.compile(r"[-:][0-9A-Za-z]|/[0-9]|[A-Za-z_]|[ªº°@\ufe0f\u20e3]|[ ][0-9]{2}")
_UNIT_GLUED = re.compile(
    r"(?:h|hs|hrs?|min|mins|d|x|am|pm|kg|g|km|m|cm|mm|l|ml|gb|mb|mg|pax|pp?l?)(?!\w)", re.IGNORECASE
)
_NUMBERING = re.compile(r"(?:^|\n)[ \t*_]{0,8}$")
_NUMBERED = re.compile(r"[.)]\s|\ufe0f|\u20e3")
_TIME = re.compile(r"\s?(?::[0-9]{2}|[ap]\.?\s?m(?:\.|\b)|h\b|hrs?\b)", re.IGNORECASE)

_NAMED = re.compile(
    r"(?:\b(?:nit|rut|ruc|cuit|dni|nie|c\.?\s?c|c[eé]dula|pasaporte|passport|tel|tel[eé]fono|phone|cel"
    r"|celular|m[oó]vil|whatsapp|wa|fax|ley|law|decreto|resoluci[oó]n|art[ií]culo|art|act|secci[oó]n"
    r"|calle|carrera|cra|kra|cr|cll|cl|av|avenida|avenue|transversal|diagonal|piso|floor"
    r"|habitaci[oó]n|hab|room|apto|apt|apartamento|apartment|local|oficina|office|torre|suite"
    r"|placa|plate|matr[ií]cula|chasis|vin|ref|referencia|reference|c[oó]digo|code|id|sku|modelo|model"
    r"|pedido|orden|order|gu[ií]a|tracking|factura|invoice|cuenta|account|radicado|ticket|caso|case"
    r"|reserva|booking|lote|serie|serial|p[oó]liza|policy|policies|expediente|registro|rnt|n[uú]mero|number"
    r"|n[oº°]|no|nro|num|talla|size|versi[oó]n|version|a[nñ]o|year|since|desde\s(?:el\s)?a[nñ]o|l[ií]nea"
    r"|llama(?:r|nos)?|call|escr[ií]be(?:nos)?|ext|extensi[oó]n|c[oó]digo\spostal|zip|postal|cp"
    r")\.?(?:\s(?:n[oº°]?\.?|es|is|al|a|el|la|us|on|at|de\s\w{1,12}))?|#)\s?[:#]?\s?$"
    r"|\b(?:calle|carrera|cra|cll|av|avda|avenida|avenue|street|road|ruta|km)\.?(?:\s[\w.]{1,16}){1,3}\s$",
    re.IGNORECASE,
)
"""Words before a number that is an identifier."""

_MONTHS = (
    "enero|febrero|marzo|abril|mayo|junio|julio|agosto|septiembre|setiembre|octubre|noviembre"
    "|diciembre|january|february|march|april|may|june|july|august|september|october|november"
    "|december|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec|ene|abr|ago|dic"
)
_DAY_AFTER = re.compile(rf"(?:st|nd|rd|th)?\s(?:de\s|of\s)?(?:{_MONTHS})(?!\w)", re.IGNORECASE)
_DAY_BEFORE = re.compile(
    rf"\b(?:{_MONTHS}|lunes|martes|mi[eé]rcoles|jueves|viernes|s[aá]bado|domingo"
    r"|(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?)\.?\s$",
    re.IGNORECASE,
)

_WORD_AFTER = re.compile(r"[*_~]{0,2}\s?([^\W\d_]+)")
_LIKE_PRICE = frozenset(
    {
        *("la", "el", "lo", "los", "las", "por", "cada", "al", "a", "más", "mas", "y", "e", "o"),
        *("u", "con", "para", "en", "de", "del", "si", "que", "incluye", "incluido", "incluida"),
        *("incluyendo", "incl", "iva", "total", "neto", "netos", "aprox", "mensual", "mensuales"),
        *("mes", "semanal", "semanales", "diario", "diarios", "diaria", "diarias", "anual"),
        *("anuales", "quincenal", "c", "p", "ambos", "ambas", "todo", "toda", "sin", "menos"),
        *("extra", "adicional", "adicionales", "es", "son", "sería", "serían", "queda"),
        *("quedaría", "te", "le", "les", "nos", "pero", "entonces", "colombianos", "mexicanos"),
        *("según", "aparte", "solo", "sólo", "normalmente", "ida", "hasta", "noche", "efectivo"),
        *("the", "per", "each", "for", "and", "with", "plus", "an", "in", "is", "or", "if", "to"),
        *("of", "on", "off", "more", "less", "monthly", "weekly", "daily", "yearly", "but", "so"),
        *("that", "which", "including", "both", "all", "net", "altogether", "one", "only"),
        *("instead", "now", "today", "until", "without", "cash", "upfront"),
    }
)
"""Words that follow a price. Any other word after a sum without a currency is what it counts."""

_KEY = re.compile(
    r"[\"']?([A-Za-z_\u00c0-\u024f][\w \u00c0-\u024f.-]{0,39})[\"']?\s?[:=]\s?[\"']?$"
)
"""The name before a value in data: ``"price": 45``, ``price=45``, ``Precio: 45``."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A number in a text. ``start`` and ``end`` include its currency and multiple."""

    value: float
    role: Role
    start: int
    end: int
    written: str
    key: str = ""
    """The name that stands before it in data."""
    other_readings: tuple[float, ...] = ()
    """Less likely ways to read it: ``1.500`` may have decimals."""
    before: str = ""
    """The character right before it."""


def figures(text: str) -> Iterator[Figure]:
    """The figures of a text in order, at most `MAX_FIGURES` of them."""
    for count, match in enumerate(NUMBER.finditer(text)):
        if count >= MAX_FIGURES:
            return
        if len(match[0]) <= _LONGEST:
            yield _figure(text, match)


def _figure(text: str, match: re.Match[str]) -> Figure:
    start, end = match.span()
    before = text[max(0, start - _BESIDE) : start]
    readings = readings_of(match[0])
    key = _KEY.search(before)
    name = key[1].strip() if key else ""
    times = _TIMES.match(text, end)
    multiple = _multiple(times[1]) if times else 1.0
    past = times.end() if times else end
    if not times and (shared := _SHARED_TIMES.match(text, end)):
        multiple = _multiple(shared[1])
    currency_before = _BEFORE.search(before)
    currency_after = _AFTER.match(text, past) or (times and _AFTER.match(text, end))
    named = bool(currency_before or currency_after)
    if not named and times and len(times[1]) == 1:
        multiple, past = 1.0, end  # "100 m", "10k" without a currency: metres, a race
    if times and times[1].lower() in {"lucas", "lukas"}:
        named = True
    role = _role(text, match, before, past, named=named, name=name, multiplied=multiple > 1)
    if currency_before:
        start -= len(before) - currency_before.start()
    stop = max(past, currency_after.end() if currency_after else past)
    return Figure(
        value=readings[0] * multiple,
        role=role,
        start=start,
        end=stop if named or multiple > 1 else end,
        written=text[start : stop if named or multiple > 1 else end].strip(" *_~"),
        key=name,
        other_readings=tuple(reading * multiple for reading in readings[1:]),
        before=before[-1:],
    )


def _role(
    text: str,
    match: re.Match[str],
    before: str,
    past: int,
    *,
    named: bool,
    name: str,
    multiplied: bool,
) -> Role:
    """The role of a figure, by what stands beside it."""
    number, end = match[0], match.end()
    if _PERCENT.match(text, end):
        return "percent"
    if named:
        return "money"
    after = text[end : end + _BESIDE]
    if _NUMBERING.search(before) and _NUMBERED.match(after):
        return "other"
    if _is_joined(before, after) or _is_moment(before, after) or _NAMED.search(before):
        return "other"
    if name and is_name_key(name):
        return "other"
    if _GROUPED.fullmatch(number) or multiplied:
        return "grouped" if _price_follows(text, past, name) else "counted"
    return "plain" if len(number) <= (12 if name else 9) else "other"


def _is_joined(before: str, after: str) -> bool:
    """True for a part of a code, a telephone number, a date with slashes, an address."""
    joined = _JOINED_BEFORE.search(before)
    if joined and joined[1] and not before.endswith((": ", "=")) and not _KEY.search(before):
        return True
    return bool(_JOINED_AFTER.match(after)) and not _UNIT_GLUED.match(after)


def _is_moment(before: str, after: str) -> bool:
    """True for the day of a date, and for a time of day."""
    return bool(_TIME.match(after) or _DAY_AFTER.match(after) or _DAY_BEFORE.search(before))


def _price_follows(text: str, past: int, name: str) -> bool:
    """Whether a number without a currency is a price: no word follows that it could count."""
    if name and is_price_key(name):
        return True
    word = _WORD_AFTER.match(text, past)
    return word is None or word[1].casefold() in _LIKE_PRICE


def _multiple(word: str) -> float:
    word = word.lower()
    return _MULTIPLE.get(word, 1e6)


def readings_of(number: str) -> list[float]:
    """The readings of a number, the likeliest first: ``180.000`` is grouped, or has decimals."""
    marks = [character for character in number if not character.isdigit()]
    digits = "".join(character for character in number if character.isdigit())
    if not marks:
        return [float(digits)]
    tail = len(number) - 1 - number.rfind(marks[-1])
    whole = float(digits)
    decimal = whole / 10**tail
    if marks[-1] not in ".," or (len(marks) > 1 and marks.count(marks[-1]) == len(marks)):
        return [whole]
    if tail == 3 and not number.startswith("0"):
        return [whole, decimal] if len(marks) == 1 else [whole]
    return [decimal]
