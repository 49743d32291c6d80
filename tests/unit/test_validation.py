"""Validators on replies as models write them, in Spanish and English."""

import sys
from pathlib import Path

import pytest

from daemon.conversation.config_loader import load_validators
from daemon.domain.validation.amount_sources import amounts_of
from daemon.domain.validation.builtin_validators import BUILT_IN, in_order
from daemon.domain.validation.figures import figures
from daemon.domain.validation.results import (
    KEEP,
    Block,
    Candidate,
    Fix,
    Judgement,
    Retry,
    Validator,
    Verdict,
    judge,
    validator,
)
from daemon.errors import ValidatorError

ROOMS = '[{"room": "1722-A", "price": 180000}, {"room": "1723-C", "price": 840000.0}]'


def judged(
    text: str,
    *,
    inbound: str = "Hola\n¿Cuánto cuesta la noche?",
    outputs: tuple[str, ...] = (),
    incomplete: str = "",
) -> Judgement:
    """What all built-in validators say of a reply."""
    candidate = Candidate(
        text=text,
        inbound=inbound,
        tool_outputs=outputs,
        incomplete=incomplete,
        instructions="El parqueadero cuesta $15.000. Estamos en la Calle 10 # 43-B.",
        internal=("Fecha: 02/11/2026 | Hora: 10:15 (-05) | Contacto: Laura",),
        agent_note="[Mensaje manual de {name}]",
    )
    return judge(candidate, in_order([]))


GOOD = (
    "¡Hola, Laura! ¿Para qué fechas?",
    "Cliente: Juan Pérez\nNoches: 2",
    "El código es {1722} y la clave, hotel2026",
    "Son las 10:15. Contacto: Laura",
    "Sure! It is on the 3rd floor (room 304).",
    "La función empieza a las 8; llama al 300 123 4567",
)

FIXED = {
    "Abrimos a las 8【4:0†horario.pdf】.": "Abrimos a las 8.",
    "Abrimos a las 8 \ue200cite\ue202turn0search1\ue201.": "Abrimos a las 8.",
    "Abrimos a las 8【horario】.": "Abrimos a las 8.",
    "Abrimos a las 8 [3†horario.pdf].": "Abrimos a las 8.",
    "Abrimos a las 8\ue203.": "Abrimos a las 8.",
    "Abrimos a las 8 turn0search1.": "Abrimos a las 8.",
    "Listo (ID: call_a1B2c3D4e5F6g7). ¿Algo más?": "Listo. ¿Algo más?",
    "Ver https://a.co/x?utm_source=openai": "Ver https://a.co/x",
    "<think>Pide precio.\nLo doy.</think>\n\nCuesta 50.": "Cuesta 50.",
    "Pide precio.</think>Cuesta 50.": "Cuesta 50.",
    "<|channel|>analysis<|message|>hm<|end|><|channel|>final<|message|>Hola": "Hola",
    "assistant: ¡Hola!\nuser: hola": "¡Hola!",
    "Asistente: ¡Hola!": "¡Hola!",
    '{"respuesta": "¡Hola!", "intent": "saludo"}': "¡Hola!",
    "Fecha: 03/11/2026 | Hora: 11:20 (-05) | Contacto: Laura\n¡Hola!": "¡Hola!",
    "[Mensaje manual de Carlos] Ya voy": "Ya voy",
    "**Hola**": "*Hola*",
}

SENT_BACK = {
    "": "",
    "  \n": "",
    "¿Cuánto cuesta la noche?": "",
    " ¿cuánto  cuesta la NOCHE?\n": "",
    '{"name": "precio", "arguments": {"room": 5}}': "",
    'Ya miro. {"name": "precio", "arguments": {"room": 5}}': "Ya miro.",
    "Ya miro.\n<tool_call>precio</tool_call>": "Ya miro.",
    "Ya miro.\n```tool_code\nprint(precio())\n```": "Ya miro.",
    "Ya miro.\nto=functions.precio {}": "Ya miro.",
    "Ya miro.\nmulti_tool_use.parallel": "Ya miro.",
    "Ya miro.\n[TOOL_CALLS] precio": "Ya miro.",
    "Ya miro.\n[function_call] precio": "Ya miro.",
    '```json\n{"name": "precio", "arguments": {}}\n```': "",
    "<think>No sé qué": "",
    '{"intent": 4}': "",
}


@pytest.mark.parametrize("text", GOOD)
def test_a_good_reply_is_kept(text: str) -> None:
    found = judged(text)
    assert (found.text, found.notes) == (text, ())
    assert [word for _, word in found.rulings] == ["keep"] * len(BUILT_IN)


@pytest.mark.parametrize("text", FIXED)
def test_a_reply_with_the_machinery_showing_is_mended(text: str) -> None:
    found = judged(text)
    assert (found.text, found.notes) == (FIXED[text], ())


@pytest.mark.parametrize("text", SENT_BACK)
def test_an_empty_reply_is_sent_back_to_the_model(text: str) -> None:
    found = judged(text)
    assert found.notes
    assert found.text == SENT_BACK[text]


@pytest.mark.parametrize("words", ["Sí", "Hola", "👍", "¡Muchas gracias!", "Buenas tardes"])
def test_a_short_answer_may_be_the_customers_words(words: str) -> None:
    assert not judged(words, inbound=words).notes


def test_the_former_name_of_the_customers_words_goes_on_working() -> None:
    assert Candidate(text="", inbound="Hola").heard == "Hola"


def test_half_a_reply_is_sent_back_to_the_model() -> None:
    assert judged("La tarifa es de", incomplete="max_output_tokens").notes


def test_an_id_from_a_tool_stays() -> None:
    text = "Tu reserva es la req_A1B2C3D4E5."
    assert judged(text, outputs=('{"id": "req_A1B2C3D4E5"}',)).text == text
    assert "req_" not in judged(text).text


NOTATIONS = {
    "$1.234.567": "1234567",
    "1,234,567 COP": "1234567",
    "840.000": "840000",
    "US$ 45.50": "45.50",
    "US$1,250.00": "1250",
    "€ 1.250,50": "1250.5",
    "180 mil pesos": "180000",
    "$1,2 millones": "1200000",
    "$180k": "180000",
    "90 euros": "90",
    "1'200.000 pesos": "1200000",
    "S/ 60": "60",
    "85 lucas": "85000",
}


@pytest.mark.parametrize("written", NOTATIONS)
def test_amounts_are_read_in_all_notations(written: str) -> None:
    found = [a.value for a in amounts_of(figures(f"Cuesta {written}, sin desayuno."))]
    assert found == [float(NOTATIONS[written])]


@pytest.mark.parametrize(
    "text",
    [
        *("a las 10.30", "1.200 metros", "300.123.4567", "3 noches", "v1.2.3", "el 12.10.2026"),
        *("NIT 900.123.456-7", "C.C. 1.020.345.678", "la Ley 1.480 de 2011", "placa ABC 123"),
        *("más de 2.300 reseñas", "Av. Rivadavia 5.240", "cel 310.555.123", "45.000 km", "10k"),
        *("pedido # 20.418", "12,500 miles", "RNT 45.678", "el año 2.026", "15.000 personas"),
    ],
)
def test_other_figures_are_not_read_as_money(text: str) -> None:
    assert list(amounts_of(figures(text))) == []


RIGHT = (
    "El 1722-A cuesta $180.000 la noche.",
    "The room costs COP 180,000.",
    "180 mil la noche; 2 noches son $360.000.",
    "3 noches x $180.000 = $540.000, más parqueadero $15.000: total $555.000.",
    "Con el 10 % de descuento quedan en $162.000. Anticipo del 50%: $90.000 de $180.000.",
    "El 1723-C vale $840.000.",
    "La diferencia entre $840.000 y $180.000 es $660.000.",
    "A 1.200 metros de aquí, en la Calle 10 # 43-B.",
)
WRONG = (
    "El 1722-A cuesta $810.000 la noche.",
    "The room costs COP 80,000.",
    "Cuesta 18.000 pesos.",
    "2 noches son $370.000.",
    "Te queda en $1.840.000.",
)


@pytest.mark.parametrize("text", RIGHT)
def test_amounts_with_a_source_or_derived_from_one_are_right(text: str) -> None:
    found = judged(text, outputs=(ROOMS,))
    assert (found.text, found.notes) == (text, ())


@pytest.mark.parametrize("text", WRONG)
def test_amounts_without_a_source_are_doubted(text: str) -> None:
    """The model may try again, but the answer may be sent, unless the operator forbids it."""
    found = judged(text, outputs=(ROOMS,))
    assert found.notes
    assert (found.text, found.doubts) == (text, ("amounts",))
    blocked = judge(Candidate(text=text, tool_outputs=(ROOMS,)), in_order([], amounts="block"))
    assert (blocked.text, blocked.doubts, bool(blocked.notes)) == ("", (), True)
    assert not judged(text).notes, "without tools there is nothing to hold it against"


EXAMPLES = Path(__file__).parents[2] / "config" / "validators"


def test_the_example_of_a_hotel_mends_room_codes() -> None:
    (room_codes,) = load_validators([], EXAMPLES)

    def verdict_on(text: str, *outputs: str) -> Verdict:
        return room_codes.judge(Candidate(text=text, tool_outputs=outputs))

    free = "El apartamento 1722-B está libre."
    assert verdict_on(free, ROOMS) == Fix("El apartamento 1722-A está libre.")
    assert isinstance(verdict_on(free, ROOMS, "1722-D"), Retry)
    assert isinstance(verdict_on("El apartamento 1999-D está libre.", ROOMS), Retry)
    assert verdict_on("Estamos en la Calle 10 # 43-B.", ROOMS) == KEEP
    assert verdict_on(free) == KEEP, "without tools there is nothing to hold it against"


def test_a_folder_of_validators_is_read(tmp_path: Path) -> None:
    (tmp_path / "_not_this.py").write_text("raise RuntimeError")
    (tmp_path / "polite.py").write_text(
        f"{HEAD}@validator\ndef polite(candidate):\n    return KEEP\n"
    )
    assert [each.name for each in load_validators([], tmp_path)] == ["polite"]
    with pytest.raises(ValidatorError, match="is not a folder"):
        load_validators([], tmp_path / "nowhere")
    (tmp_path / "broken.py").write_text("1 / 0")
    with pytest.raises(ValidatorError, match=r"broken\.py: ZeroDivisionError"):
        load_validators([], tmp_path)


def named(name: str, verdict: Verdict) -> Validator:
    """A validator that always says the same."""
    return Validator(name=name, judge=lambda _: verdict)


def test_verdicts_follow_one_another() -> None:
    """A fix is what the next one sees; a block ends it; a fault counts for nothing."""

    @validator
    def shouting(candidate: Candidate) -> Verdict:
        return Fix(candidate.text.upper())

    @validator(name="broken")
    def anything(_: Candidate) -> Verdict:
        raise ZeroDivisionError

    forgot = Validator(name="forgot", judge=lambda _: None)  # type: ignore[arg-type, return-value]
    found = judge(Candidate(text="hola"), [shouting, anything, forgot, named("ok", KEEP)])
    assert found.text == "HOLA"
    assert found.rulings == (
        ("shouting", "fix"),
        ("broken", "error"),
        ("forgot", "error"),
        ("ok", "keep"),
    )
    assert [name for name, _ in found.faults] == ["broken", "forgot"]
    ended = judge(Candidate(text="hola"), [named("no", Block("bad")), shouting])
    assert (ended.text, ended.blocked, ended.notes) == ("", "bad", ())
    both = judge(Candidate(text="hola"), [named("a", Retry("x")), named("b", Retry("y", "z"))])
    assert (both.text, both.notes) == ("", ("x", "y"))


def test_own_validators_stand_before_the_format() -> None:
    names = [v.name for v in in_order([named("own", KEEP)], disabled=["echo", "amounts"])]
    assert names[-2:] == ["own", "whatsapp"]
    assert not {"echo", "amounts"} & set(names)
    with pytest.raises(ValidatorError, match="there is no validator spelling"):
        in_order([], disabled=["spelling"])
    with pytest.raises(ValidatorError, match="two validators are called echo"):
        in_order([named("echo", KEEP)])


HEAD = "from daemon.domain.validation.results import KEEP, Candidate, Verdict, validator\n"
BROKEN_MODULES = {
    "import nowhere_at_all": "cannot be imported",
    "x = 1": "no validator in it",
    f"{HEAD}@validator\nasync def slow(candidate): return KEEP": "not async",
    f"{HEAD}@validator(name='Sí')\ndef yes(candidate): return KEEP": "lower-case",
}


@pytest.mark.parametrize("source", BROKEN_MODULES)
def test_a_broken_module_is_named(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"own_validators_{abs(hash(source))}"
    (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ValidatorError, match=BROKEN_MODULES[source]) as caught:
        load_validators([name])
    assert name in str(caught.value)
    sys.modules.pop(name, None)


@pytest.mark.parametrize("path", ["daemon.tools.validators", "daemon.validation.verdicts"])
def test_modules_of_operators_import_validators_from_the_public_and_the_former_path(
    path: str, tmp_path: Path
) -> None:
    (tmp_path / "own.py").write_text(
        f"from {path} import KEEP, Candidate, Verdict, validator\n\n\n"
        "@validator\n"
        "def own(candidate: Candidate) -> Verdict:\n"
        '    """Nothing is wrong."""\n'
        "    return KEEP\n"
    )
    assert [each.name for each in load_validators([], tmp_path)] == ["own"]


def test_every_field_of_a_candidate_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "validators.md").read_text("utf-8")
    table = page.partition("| field of a `Candidate` |")[2].partition("\n\n")[0]
    fields = [*Candidate.__dataclass_fields__, "characters"]
    assert [line.split("`")[1] for line in table.splitlines()[2:]] == fields
