"""Markdown into WhatsApp's format: what models write, and what must never happen to it."""

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from daemon.domain.rendering.whatsapp_format import to_whatsapp

TABLE = """\
| Habitación | Precio |
|---|---:|
| 1722-B | **$180.000** |
| Suite | $1.200.000 |"""

REPLIES = {
    "**Hola**, Laura": "*Hola*, Laura",
    "__Hola__, Laura": "*Hola*, Laura",
    "**Hola** *Laura*": "*Hola* _Laura_",
    "***Oferta***": "*_Oferta_*",
    "**Nota:** abrimos a las 8": "*Nota:* abrimos a las 8",
    "*negrita* de WhatsApp y _cursiva_": "*negrita* de WhatsApp y _cursiva_",
    "~~$200.000~~ $180.000": "~$200.000~ $180.000",
    "## Tarifas 2026\nDesde $90.000": "*Tarifas 2026*\nDesde $90.000",
    "# **Tarifas** de hoy #": "*Tarifas de hoy*",
    "Tarifas\n=======\nDesde $90.000": "*Tarifas*\nDesde $90.000",
    "#hotel en Bogotá": "#hotel en Bogotá",
    "- uno\n* dos\n+ tres\n  - dentro": "• uno\n• dos\n• tres\n  • dentro",
    "1. **Suite**\n2) Doble": "1. *Suite*\n2) Doble",
    "- [ ] cédula\n- [x] pago": "• ☐ cédula\n• ☑ pago",
    "Reserva [aquí](https://ejemplo.co/r_1_2?a=b_c).": (
        "Reserva aquí: https://ejemplo.co/r_1_2?a=b_c."
    ),
    "[https://ejemplo.co](https://ejemplo.co/)": "https://ejemplo.co/",
    "[ejemplo.co](https://ejemplo.co)": "https://ejemplo.co",
    "**[Mapa](https://m.co/x)**": "*Mapa:* https://m.co/x",
    "**https://ejemplo.co/a_b**": "https://ejemplo.co/a_b",
    "![La suite](https://ejemplo.co/s.jpg)": "La suite: https://ejemplo.co/s.jpg",
    "<https://ejemplo.co/a*b>": "https://ejemplo.co/a*b",
    "[Escríbenos](mailto:hola@ejemplo.co)": "Escríbenos: hola@ejemplo.co",
    "[bajar](sandbox:/mnt/data/x.pdf)": "bajar",
    "(https://es.ejemplo.org/wiki/Cali_(Valle)) **sí**": (
        "(https://es.ejemplo.org/wiki/Cali_(Valle)) *sí*"
    ),
    TABLE: "• Habitación: 1722-B; Precio: *$180.000*\n• Habitación: Suite; Precio: $1.200.000",
    "> **Ojo**: cierra a las 6": "> *Ojo*: cierra a las 6",
    "antes\n\n---\n\ndespués": "antes\n\ndespués",
    "```python\nx = **1**\n\n\n  y\u00a0= 2\n```": "```\nx = **1**\n\n\n  y = 2\n```",
    "usa `**x**` y ``y``": "usa `**x**` y `y`",
    "escribe ``reserva`` aquí": "escribe `reserva` aquí",
    r"cuesta \$50": "cuesta $50",
    "Tom &amp; Ana<br>chao&nbsp;pues": "Tom & Ana\nchao pues",
    "<b>Hola</b> <i>Laura</i>": "*Hola* _Laura_",
    r"cuesta \$50 y mi\_archivo": "cuesta $50 y mi_archivo",
    r"\*Aplican condiciones": "\u2217Aplican condiciones",
    "**A**partamento": "Apartamento",
}

UNTOUCHED = (
    "La suite cuesta $1.200.000 y la 1722-B $840.000",
    "3 * 180.000 * 2 y 5*6*7",
    "2**3**2",
    "mi_archivo_final_v2.pdf y laura_gomez@ejemplo.co",
    "https://ejemplo.co/a_b_c/*x*?q=__y__&z=~~1~~",
    "De 2 a 3 personas <3 y a<b",
    "Te espero :) *",
    "+57 300 123 4567",
    "• ya\n• listo",
    "R&D y AT&T",
)


@pytest.mark.parametrize("markdown", REPLIES)
def test_replies_are_written_as_whatsapp_shows_them(markdown: str) -> None:
    assert to_whatsapp(markdown) == REPLIES[markdown]
    assert to_whatsapp(REPLIES[markdown]) == REPLIES[markdown]


@pytest.mark.parametrize("text", UNTOUCHED)
def test_text_without_markdown_is_unchanged(text: str) -> None:
    assert to_whatsapp(text) == text


@pytest.mark.parametrize("text", UNTOUCHED[:6])
def test_markdown_beside_it_does_not_break_it(text: str) -> None:
    assert to_whatsapp(f"**Nota**\n\n{text}") == f"*Nota*\n\n{text}"


MARKS = st.sampled_from(
    [
        *("*", "**", "***", "_", "__", "~~", "~", "`", "```", "# ", "- ", "> ", "1. ", "|", "---"),
        *("\n", "\n\n", " ", "  ", "\\", "[", "](", ")", "<br>", "&amp;", "<b>", "</b>", "==="),
        *("https://a.co/x_y", "$1.200.000", "1722-B", "hola", "Laura", "5", "\u00a0", "!", ":"),
    ]
)
MARKDOWN = st.lists(MARKS, max_size=25).map("".join)


@settings(deadline=None, max_examples=300)
@given(MARKDOWN | st.text(max_size=80))
@example(r"\*\*x\*\*")
@example("&amp;amp;lt;b&amp;gt;")
def test_formatting_twice_is_formatting_once(text: str) -> None:
    once = to_whatsapp(text)
    assert to_whatsapp(once) == once


WORDS = st.sampled_from(["hola", "Laura", "$1.200.000", "1722-B", "https://a.co/x_y_z", "mi_cosa"])
WRAPPED = st.tuples(st.sampled_from(["{}", "**{}**", "_{}_", "~~{}~~", "`{}`", "*{}*"]), WORDS).map(
    lambda pair: pair[0].format(pair[1])
)
LINES = st.tuples(
    st.sampled_from(["", "# ", "- ", "  - ", "1. ", "> "]),
    st.lists(WRAPPED, min_size=1, max_size=5),
).map(lambda line: line[0] + " ".join(line[1]))


@settings(deadline=None, max_examples=200)
@given(st.lists(LINES, min_size=1, max_size=6))
def test_no_word_is_lost_or_moved(lines: list[str]) -> None:
    words = re.compile(r"https://a\.co/x_y_z|\$1\.200\.000|1722-B|mi_cosa|hola|Laura")
    text = "\n".join(lines)
    assert words.findall(to_whatsapp(text)) == words.findall(text)
