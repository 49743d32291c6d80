"""What the tables of the configuration have in common.

Each is a class in the modules beside this one; `daemon.settings` puts them together. Every field
carries its default, a one-line meaning (shown in ``config/recado.toml`` and ``docs/settings.md``)
and, in its type, what a value must be (`daemon.settings.rules`).
"""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Common shape of the tables: immutable, strict about types, no unknown keys."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, hide_input_in_errors=True, allow_inf_nan=False
    )
