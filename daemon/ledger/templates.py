"""The templates of our numbers, as their gateways last listed them."""

from collections.abc import Sequence

import msgspec

from daemon.domain.rendering.templates import Template
from daemon.ledger.drivers.port import Connection, Role, query, transaction

_write = msgspec.json.Encoder()
_read = msgspec.json.Decoder(Template)


class Templates(Role):
    """What may be sent when nothing else may. Any task may read; the number's watch replaces."""

    @query
    def of_number(self, connection: Connection, number: str) -> tuple[Template, ...]:
        """All templates of a number, by name and language."""
        return templates_of(connection, number)

    @transaction
    def replace(
        self, connection: Connection, number: str, templates: Sequence[Template], *, now: float
    ) -> bool:
        """Keep what the gateway lists, in place of what it listed before; True if that differs.

        ``now``: Unix seconds.
        """
        return replace_templates(connection, number, templates, now=now)


def templates_of(connection: Connection, number: str) -> tuple[Template, ...]:
    """See `Templates.of_number`; inside the caller's transaction or read."""
    rows = connection.execute(
        "SELECT template FROM templates WHERE channel = ? ORDER BY name, language", (number,)
    )
    return tuple(_read.decode(template) for (template,) in rows)


def replace_templates(
    connection: Connection, number: str, templates: Sequence[Template], *, now: float
) -> bool:
    """See `Templates.replace`; inside the caller's transaction."""
    before = templates_of(connection, number)
    listed = {(template.name, template.language): template for template in templates}
    connection.execute("DELETE FROM templates WHERE channel = ?", (number,))
    connection.executemany(
        "INSERT INTO templates (channel, name, language, template, synced_at)"
        " VALUES (?, ?, ?, ?, ?)",
        [(number, *key, _write.encode(one).decode(), now) for key, one in listed.items()],
    )
    return set(before) != set(listed.values())
