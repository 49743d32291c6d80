"""What a file is, where it may come from, and who is on a card: pure decisions."""

import ipaddress
import time
import zipfile
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.domain.rendering.vcards import PersonCard, read_card, written_card
from daemon.errors import MediaRefused
from daemon.media.download import is_public, origin_of
from daemon.media.kinds import DOCX, PDF, kind_of

PRIVATE = (
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
    *("172.16.0.0/12", "192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/4"),
    *("240.0.0.0/4", "198.51.100.0/24", "203.0.113.0/24", "168.63.129.16/32"),
    "192.0.0.0/24",
)


@given(st.sampled_from(PRIVATE), st.integers(min_value=0), st.data())
def test_no_private_address_is_public_in_any_spelling(
    network: str, number: int, data: st.DataObject
) -> None:
    """IPv4 as it is, and inside of the IPv6 addresses that lead to it."""
    inside = ipaddress.IPv4Network(network)
    address = inside[number % inside.num_addresses]
    packed = int(address)
    spellings = (
        str(address),
        str(ipaddress.IPv6Address((0xFFFF << 32) | packed)),
        str(ipaddress.IPv6Address((0x0064FF9B << 96) | packed)),
        str(ipaddress.IPv6Address(packed)),
        str(ipaddress.IPv6Address((0x2002 << 112) | (packed << 80) | 1)),
    )
    assert not is_public(data.draw(st.sampled_from(spellings)))


@given(st.ip_addresses(v=4) | st.ip_addresses(v=6))
def test_public_addresses_are_global(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    """Never more than the standard library says."""
    if is_public(str(address)):
        assert address.is_global or getattr(address, "sixtofour", None)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1:248:1893:25c8:1946", True),
        ("64:ff9b::5db8:d822", True),
        ("fe80::1%eth0", False),
        ("fec0::1", False),
        ("fc00::1", False),
        ("ff02::1", False),
        ("::", False),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", False),
        ("64:ff9b:1::a00:1", False),
        ("168.63.129.15", True),
        ("168.63.129.17", True),
        ("3fff::1", False),
        ("3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", False),
        ("3ffe:ffff::1", True),
        ("2001:db8::1", False),
        ("files.example.com", False),
        ("", False),
    ],
)
def test_addresses(address: str, *, public: bool) -> None:
    assert is_public(address) is public


@given(st.text(max_size=60))
def test_any_text_as_a_link_is_an_address_or_refused(link: str) -> None:
    for url in (link, f"https://{link}"):
        try:
            assert origin_of(url).host
        except MediaRefused:
            continue


def archive() -> bytes:
    target = BytesIO()
    with zipfile.ZipFile(target, "w") as opened:
        opened.writestr("word/document.xml", "<x/>")
    return target.getvalue()


HTML = b"<!DOCTYPE html><html>"
OGG = b"OggS" + bytes(60)
MP4 = b"\x00\x00\x00\x18ftypmp42" + bytes(40)


@pytest.mark.parametrize(
    ("head", "medium", "declared", "mime"),
    [
        (b"\xff\xd8\xff\xe0" + bytes(50), "image", "image/png", "image/jpeg"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "sticker", "", "image/png"),
        (b"RIFF\x10\0\0\0WEBPVP8 " + bytes(40), "sticker", "image/webp", "image/webp"),
        (OGG, "voice", "audio/ogg; codecs=opus", "audio/ogg"),
        (MP4, "audio", "audio/mp4", "audio/mp4"),
        (MP4, "video", "video/mp4", "video/mp4"),
        (b"\xff\xfb\x90\xc4" + bytes(400), "audio", "audio/mpeg", "audio/mpeg"),
        (b"GIF89a" + bytes(40), "gif", "", "image/gif"),
        (b"%PDF-1.7\n", "document", "application/pdf", PDF),
        (archive(), "document", DOCX, DOCX),
        (archive(), "document", "", "application/zip"),
        ("¿Qué tal?".encode(), "document", "text/plain", "text/plain"),
        (HTML, "document", "text/html", "text/html"),
        (b"MZ\x90\x00" + bytes(40), "document", "", None),
    ],
)
def test_the_bytes_decide(head: bytes, medium: str, declared: str, mime: str | None) -> None:
    found = kind_of(head, medium=medium, declared=declared)
    assert found.mime == mime if mime else found.extension == "bin"


@pytest.mark.parametrize(
    ("head", "medium", "declared"),
    [
        (HTML, "image", "image/jpeg"),
        (OGG, "image", "image/jpeg"),
        (b"\xff\xd8\xff\xe0" + bytes(50), "voice", "audio/ogg"),
        (HTML, "document", "application/pdf"),
        (b"\xff\xd8\xff\xe0" + bytes(50), "document", "application/pdf"),
        (b"", "document", ""),
        (bytes(60), "video", "video/mp4"),
    ],
)
def test_a_file_of_another_family_is_refused(head: bytes, medium: str, declared: str) -> None:
    with pytest.raises(MediaRefused):
        kind_of(head, medium=medium, declared=declared)


@given(st.binary(max_size=300), st.sampled_from(("image", "voice", "video", "document", "x")))
def test_any_bytes_are_something_or_refused(head: bytes, medium: str) -> None:
    try:
        assert kind_of(head, medium=medium).mime
    except MediaRefused:
        return


def test_cards_are_read_as_far_as_they_can_be() -> None:
    pedro = "BEGIN:VCARD\nVERSION:3.0\nFN:Pedro\nTEL;waid=573007654321:+57 300 7654321\nEND:VCARD"
    assert read_card(pedro) == PersonCard(name="Pedro", numbers=("+57 300 7654321",))
    old = (
        "BEGIN:VCARD\r\nVERSION:2.1\r\nN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:P=C3=A9rez;José\r\n"
        "item1.TEL;CELL:300\r\nPHOTO;BASE64:AAAA\r\n AAAA\r\n"
    )
    assert read_card(old).numbers == ("300",)
    assert read_card("") == read_card("Pedro") == PersonCard()


@given(st.text(max_size=300))
def test_any_card_is_read_or_left(words: str) -> None:
    for vcard in (words, f"BEGIN:VCARD\nVERSION:3.0\nFN:{words}\nTEL:{words}\nEND:VCARD"):
        assert isinstance(read_card(vcard), PersonCard)


def test_a_card_in_an_unknown_alphabet_is_left() -> None:
    card = "BEGIN:VCARD\nVERSION:2.1\nFN;CHARSET=none;ENCODING=QUOTED-PRINTABLE:=C3=A9\nEND:VCARD"
    assert read_card(card) == PersonCard()


def test_unreadable_parts_of_a_card_are_not_logged(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert read_card("BEGIN:VCARD\nFN:Laura\nTEL;\x01=573001234567\nEND:VCARD").name == "Laura"
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []


def test_a_name_does_not_swallow_the_number_after_it() -> None:
    card = written_card("Laura QUOTED-PRINTABLE=", "573001234567", organisation="quoted-printable=")
    assert read_card(card).numbers == ("+573001234567",)


@pytest.mark.parametrize("ending", ["", ":1"])
@pytest.mark.parametrize("unit", ["==|", "=a", ";a=", '"', ",a", '="a"', "=\x01", "a,"])
def test_no_line_of_a_card_takes_the_library_long(unit: str, ending: str) -> None:
    begun = time.thread_time()
    read_card(f"BEGIN:VCARD\nFN:Laura\nTEL;type={unit * 100}{ending}\nEND:VCARD")
    assert time.thread_time() - begun < 5
