"""The tables of the configuration that say how much is too much."""

from typing import Annotated

from pydantic import Field

from daemon.settings.rules import Amount, Count, Name, Prices, Rule, Seconds
from daemon.settings.section import Section


class BudgetSettings(Section):
    """``[budget]``: what the model may use up in a day (in the time zone of ``timezone``)."""

    contact_tokens: Count = Field(default=0, description="for one contact; 0: no limit")
    contact_cost: Amount = Field(default=0, description="for one contact; 0: no limit")
    total_tokens: Count = Field(default=0, description="for all contacts together; 0: no limit")
    total_cost: Amount = Field(default=0, description="for all contacts together; 0: no limit")
    currency: Name = Field(default="USD", description="of the costs and prices; only shown")
    prices: Prices = Field(
        default={},
        description="by model, for a million tokens: { input = 1.0, cached = 0.1, output = 4.0 };"
        " of models that hear or speak: minute, of sound, and characters, for a million of them",
    )
    answer_tokens: Count = Field(
        default=2000, description="set aside for the output of a call until its real use is known"
    )


class BrakeSettings(Section):
    """``[brakes]``: chats that go too fast, and talks with machines."""

    turns_per_minute: Count = Field(
        default=10, description="of one chat; further messages are answered later; 0: no limit"
    )
    loop_answers: Count = Field(
        default=6, description="answers in a row that are replied to at once are a loop; 0: off"
    )
    loop_seconds: Seconds = Field(default=120, description="the time in which they count")
    loop_reply_seconds: Seconds = Field(default=10, description="what counts as at once")
    repeats: Count = Field(
        default=4, description="turns in which the same words come are a loop; 0: off"
    )
    repeat_minutes: Annotated[
        float, Field(gt=0, le=1440), Rule("a number of minutes above 0, at most 1440", float)
    ] = Field(default=10, description="the time in which they count")
    pause_minutes: Annotated[float, Field(gt=0), Rule("a number of minutes above 0", float)] = (
        Field(default=30, description="a chat in a loop is not answered")
    )
