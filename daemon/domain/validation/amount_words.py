"""The words beside an amount that show its meaning, in Spanish and English. Pure.

The patterns match a few dozen characters before or after an amount. Those that end with ``$`` are
searched only in such a piece, never in a whole text.
"""

import re

BEFORE = 48
"""Characters before an amount that are searched."""

AFTER = 30
"""Characters after it."""

SENTENCE_END = re.compile(r"\n+|[.!?;](?=\s)|[?!]")
DIFFERENCE = re.compile(
    r"ahorr|descuent|rebaja|resto|restante|saldo|diferencia|falta|vuelt|devuel|devolv|menos"
    r"|\bbaja|pendiente|\bsave|saving|remain|\brest\b|balance|(?<!-)\boff\b|differ|change\b|less"
    r"|minus|\bowe"
    r"|\bdue\b|\bleft\b|below|after|discount|refund|cheaper|m[aá]s barat|m[aá]s car|en vez|en lugar"
    r"|instead|exced|sobr[ae]|\b(?:tu|su|el)\s(?:cambio|vuelto)\b",
    re.IGNORECASE,
)
HEDGE = re.compile(
    r"(?:\baprox\w*\.?|\bunos|\bunas|\bcasi|cerca de|alrededor de|m[aá]s o menos|\bcomo\sa|\babout"
    r"|\baround|\broughly|\bnearly|\balmost|\bapprox\w*\.?|[~≈]|poco m[aá]s de|poco menos de"
    r"|just over|just under|or so|equivalen?t?e?s? a|\+/-)\s?(?:a\s|de\s|los\s|the\s)?[*_]?$",
    re.IGNORECASE,
)
RATE = re.compile(
    r"\btrm\b|d[oó]lar (?:est[aá]\s)?a\b"
    r"|tasa|tipo de cambio|exchange|\brate\b|al cambio|conversi|cambio del d[ií]a",
    re.IGNORECASE,
)
TOTAL = re.compile(
    r"(?:\btotal(?:es)?\b|subtotal|en total|todo junto|las (?:dos|tres|2|3) cosas|altogether"
    r"|\bin all\b|all in\b|together|en conjunto|\bsuma\b|=)[^\n.]{0,24}$",
    re.IGNORECASE,
)
RESULT = re.compile(r"[:=]\s?(?:son|ser[ií]an?|es|te\squeda|queda)?\s?[*_]?$", re.IGNORECASE)
COMES_TO = re.compile(
    r"(?:ser[ií]an?|\bson|te queda|quedar?[ií]an?|comes? to|that's|that is|\bso|makes?|would be)"
    r"\s?(?:en\s)?[*_]?$",
    re.IGNORECASE,
)
TOTAL_AFTER = re.compile(
    r"[*_~]{0,2},?\s?(?:en total|in total|total\b|altogether|in all|all in|por todo)", re.IGNORECASE
)
FORMER = re.compile(
    r"\bantes\b|anterior|en lugar de|en vez de|frente a|normal|\bbefore\b|\bwas\b|previous"
    r"|instead of|rather than|usual|regular|original|\bde lista\b|hab[ií]a",
    re.IGNORECASE,
)
"""Before an amount that no longer applies, or applies elsewhere."""
EACH = re.compile(
    r"[*_~]{0,2}\s?(?:/|c/u|cada|por\s(?!las?\b|los\b|el\b|tod|amb|un|dos|[0-9])[^\W\d_]+"
    r"|p/p|p\.p|la (?:noche|hora|unidad|docena|sesi[oó]n|clase)"
    r"|el (?:d[ií]a|metro|kilo|mes|gal[oó]n)|al (?:mes|d[ií]a)|diari[oa]s?|mensual(?:es)?|each"
    r"|per\b|an?\s(?:day|night|hour|month|week|person|piece|yard|dozen|visit)|apiece|pp\b)",
    re.IGNORECASE,
)
"""After the price of one of several."""
BETWEEN = re.compile(r"\b(?:entre|desde|between|from|o)\s[*_]?$", re.IGNORECASE)
ADDITIONAL = re.compile(r"primer|\bfirst\b|adicional|additional|\bextra\b", re.IGNORECASE)
LABEL_END = re.compile(
    r"[,;:.()\n]|\s(?:y|e|o|and|or|m[aá]s|plus|con|with|pero|but|mientras|while)\s"
)
MONTHLY = re.compile(r"\bmes(?:es)?\b|mensual|month", re.IGNORECASE)
TIMES = re.compile(r"(?<![0-9.,])([0-9]{1,3})\s?[x\u00d7*]\s?[*_]?$", re.IGNORECASE)
"""Before a price that is multiplied: ``3 x $14``."""
TIMES_AFTER = re.compile(
    r"[*_]{0,2}\s?[x\u00d7]\s?([0-9]{1,3})(?![0-9.,]*[0-9])\s?[*_]?\s?", re.IGNORECASE
)
EQUALS = re.compile(r"[*_]{0,2}\s?=\s?[*_]{0,2}$")
TOGETHER = re.compile(
    r"\bcon\b|m[aá]s\b|\+|total|\bplus\b|\bwith\b|\band\b|\by\b|inclu|junt|ambos|ambas|\bboth\b|todo",
    re.IGNORECASE,
)
"""Of things that have one price together."""
LODGING = re.compile(r"noche|night", re.IGNORECASE)
