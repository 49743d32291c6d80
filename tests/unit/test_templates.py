"""Templates: which parameters one takes, what the customer reads, and what is refused."""

import pytest

from daemon.domain.rendering.templates import (
    Template,
    TemplateButton,
    chosen,
    named_part,
    template_part,
)

BOOKING = Template(
    name="reserva",
    language="es_CO",
    category="utility",
    status="approved",
    header_kind="text",
    header="Hotel {{1}}",
    body="Hola {{1}}, su reserva es el {{2}}. {{1}}, la esperamos.",
    footer="Responda BAJA para no recibir más.",
    buttons=(
        TemplateButton(kind="quick_reply", title="Confirmar"),
        TemplateButton(kind="url", title="Ver", url="https://hotel.example.com/{{1}}"),
    ),
)
VALUES = {"header": "Mirador", "1": "Laura", "2": " viernes\n4 ", "button.2": "A17"}


def test_the_parameters_are_those_of_heading_body_and_buttons() -> None:
    assert BOOKING.parameters == ("header", "1", "2", "button.2")
    assert Template(name="n", language="es", body="{{nombre}} {{ fecha }}").parameters == (
        "nombre",
        "fecha",
    )
    picture = Template(name="n", language="es", header_kind="image", body="Hola")
    assert picture.parameters == ("header",)
    code = TemplateButton(kind="copy_code", title="Copiar")
    assert Template(name="n", language="es", buttons=(code,)).parameters == ("button.1",)


def test_the_message_has_the_words_that_the_customer_reads() -> None:
    part = template_part(BOOKING, VALUES)
    assert part.kind == "text"
    assert part.body == (
        "Hotel Mirador\n\nHola Laura, su reserva es el viernes 4. Laura, la esperamos.\n\n"
        "Responda BAJA para no recibir más.\n\n[Confirmar]\n[Ver]"
    )
    assert part.payload["template"] == {
        "name": "reserva",
        "language": "es_CO",
        "category": "utility",
        "header": {"kind": "text", "value": "Mirador"},
        "body": [{"name": "1", "value": "Laura"}, {"name": "2", "value": "viernes 4"}],
        "buttons": [{"index": 1, "kind": "url", "value": "A17"}],
    }


def test_a_value_is_no_template_itself() -> None:
    part = template_part(BOOKING, {**VALUES, "1": "{{2}}"})
    assert "Hola {{2}}, su reserva" in part.body


@pytest.mark.parametrize(
    ("template", "values", "reason"),
    [
        (BOOKING, {}, "takes header, 1, 2, button.2, not no parameters"),
        (BOOKING, {**VALUES, "3": "x"}, "not 1, 2, 3, button.2, header"),
        (BOOKING, {**VALUES, "1": " \n"}, "parameter 1 has 1 to 1024 characters"),
        (BOOKING, {**VALUES, "1": "x" * 1025}, "parameter 1 has 1 to 1024 characters"),
        (Template(name="n", language="es", status="paused"), {}, "is not approved: paused"),
        (Template(name="n", language="es"), {}, "is not approved: unknown"),
        (
            Template(name="n", language="es", status="approved", header_kind="location"),
            {"header": "x"},
            "a place as its heading",
        ),
    ],
)
def test_what_cannot_be_sent_is_refused(
    template: Template, values: dict[str, str], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        template_part(template, values)


def test_the_language_of_the_business_is_preferred_among_approved_ones() -> None:
    def one(language: str, status: str = "approved") -> Template:
        return Template(name="n", language=language, status=status)

    known = [one("de"), one("en_US"), one("es_CO"), one("es", "rejected"), BOOKING]
    assert chosen(known, "n", language="", ours="es").language == "es_CO"
    assert chosen(known, "n", language="", ours="fr").language == "de"
    assert chosen(known, "n", language="es", ours="en").language == "es"
    for name, language in (("m", ""), ("n", "fr")):
        with pytest.raises(ValueError, match="there is no template"):
            chosen(known, name, language=language, ours="es")


def test_a_template_of_which_only_the_name_is_known() -> None:
    assert named_part("n", "es", {}).payload == {"template": {"name": "n", "language": "es"}}
    assert named_part("n", "es", {"1": "Laura"}).payload["template"]["body"] == [
        {"name": "1", "value": "Laura"}
    ]
