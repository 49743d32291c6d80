"""Templates of the Cloud API: how Meta lists them, and how one is sent."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.domain.rendering.templates import Template, TemplateButton, template_part
from daemon.gateway.cloud.payloads.templates import list_call, read_page, template_fields

LISTED: dict[str, Any] = {
    "name": "reserva",
    "language": "es_CO",
    "status": "APPROVED",
    "category": "UTILITY",
    "id": "594425479261596",
    "components": [
        {"type": "HEADER", "format": "IMAGE", "example": {"header_handle": ["https://…"]}},
        {"type": "BODY", "text": "Hola {{nombre}}, el {{fecha}}."},
        {"type": "FOOTER", "text": "Hotel"},
        {
            "type": "BUTTONS",
            "buttons": [
                {"type": "QUICK_REPLY", "text": "Sí"},
                {"type": "URL", "text": "Ver", "url": "https://hotel.example.com/{{1}}"},
                {"type": "COPY_CODE", "text": "Copiar"},
                {"type": "FLOW", "text": "Formulario"},
            ],
        },
    ],
}


def page(*elements: Any, **paging: Any) -> dict[str, Any]:
    return {"data": list(elements), "paging": paging}


def test_a_template_is_read_with_all_its_parts() -> None:
    (template,) = read_page(page(LISTED)).templates
    assert template == Template(
        name="reserva",
        language="es_CO",
        status="approved",
        category="utility",
        header_kind="image",
        body="Hola {{nombre}}, el {{fecha}}.",
        footer="Hotel",
        buttons=(
            TemplateButton(kind="quick_reply", title="Sí"),
            TemplateButton(kind="url", title="Ver", url="https://hotel.example.com/{{1}}"),
            TemplateButton(kind="copy_code", title="Copiar"),
            TemplateButton(kind="other", title="Formulario"),
        ),
    )
    assert template.parameters == ("header", "nombre", "fecha", "button.2", "button.3")


def test_the_next_part_is_asked_for_until_there_is_none() -> None:
    cursors = {"before": "a", "after": "b"}
    assert read_page(page(LISTED, cursors=cursors, next="https://…")).after == "b"
    assert read_page(page(LISTED, cursors=cursors)).after == ""
    call = list_call("102290129340398", "b")
    assert call.path == "/102290129340398/message_templates"
    assert call.query is not None
    assert call.query["after"] == "b"


@pytest.mark.parametrize("element", [{}, {"name": "n"}, {"language": "es"}])
def test_an_element_that_names_no_template_is_left_out(element: Any) -> None:
    assert read_page(page(element)).templates == ()


def test_a_template_is_sent_with_its_parameters_in_their_places() -> None:
    (template,) = read_page(page(LISTED)).templates
    values = {
        "header": "https://hotel.example.com/cuarto.jpg",
        "nombre": "Laura",
        "fecha": "viernes",
        "button.2": "A17",
        "button.3": "DESC10",
    }
    assert template_fields(template_part(template, values).payload["template"]) == {
        "name": "reserva",
        "language": {"policy": "deterministic", "code": "es_CO"},
        "components": [
            {
                "type": "header",
                "parameters": [
                    {"type": "image", "image": {"link": "https://hotel.example.com/cuarto.jpg"}}
                ],
            },
            {
                "type": "body",
                "parameters": [
                    {"type": "text", "parameter_name": "nombre", "text": "Laura"},
                    {"type": "text", "parameter_name": "fecha", "text": "viernes"},
                ],
            },
            {
                "type": "button",
                "sub_type": "url",
                "index": "1",
                "parameters": [{"type": "text", "text": "A17"}],
            },
            {
                "type": "button",
                "sub_type": "copy_code",
                "index": "2",
                "parameters": [{"type": "coupon_code", "coupon_code": "DESC10"}],
            },
        ],
    }


def test_a_text_heading_and_numbered_parameters_have_no_names() -> None:
    text = Template(
        name="n", language="es", status="approved", header_kind="text", header="{{1}}", body="{{1}}"
    )
    fields = template_fields(template_part(text, {"header": "A", "1": "B"}).payload["template"])
    assert [one["parameters"] for one in fields["components"]] == [
        [{"type": "text", "text": "A"}],
        [{"type": "text", "text": "B"}],
    ]


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*LISTED, "type", "text", "buttons", "format"]), inner)
    ),
    max_leaves=12,
)


@given(json)
def test_any_list_is_read(value: Any) -> None:
    read_page({"data": [value, LISTED], "paging": value})
