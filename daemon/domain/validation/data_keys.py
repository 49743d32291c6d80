"""What the names of values in data say: ``price`` is money, ``nights`` a count, ``iva`` a share.

Pure. Data is what tools give, most often JSON. Names are English or Spanish, with underscores.
"""

import re
import unicodedata

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
    """True for the name of a value in data that is a share: ``discount_pct``, ``iva``."""
    return bool(_PERCENT_KEY.search(name))


def is_price_key(name: str) -> bool:
    """True for the name of a value in data that is an amount of money."""
    return bool(_PRICE_KEY.search(plain(name)))


def is_count_key(name: str) -> bool:
    """True for the name of a value in data that counts something."""
    bare = plain(name)
    return bool(_COUNT_KEY.search(bare)) and not _PRICE_KEY.search(bare)


def is_name_key(name: str) -> bool:
    """True for the name of a value in data that names something: an id, a telephone, a date."""
    return bool(_NAME_KEY.search(name))


def is_in_cents(name: str) -> bool:
    """True for the name of a value in data that is written in hundredths."""
    return bool(_CENTS_KEY.search(name))


def plain(text: str) -> str:
    """Lower case without accents: ``Días`` and ``dias`` are one word."""
    decomposed = unicodedata.normalize("NFD", text.casefold())
    return "".join(c for c in decomposed if not unicodedata.combining(c))
