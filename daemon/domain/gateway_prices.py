"""What a gateway charges for a message, by its category and the country of who gets it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from daemon.domain.ids import phone_digits, scoped_id
from daemon.domain.limits import MICROS

OTHER_COUNTRY = "other"

FREE = "free"
"""What a message is charged as that costs nothing."""

CATEGORIES = ("service", "utility", "marketing", "authentication", "referral_conversion", "other")
"""What messages are charged as, beside `FREE`: Meta's categories, and all later ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CountryPrices:
    """The prices of one country."""

    calling_code: str = ""
    """Its telephone numbers begin with it, without ``+``."""
    amounts: Mapping[str, float] = field(default_factory=dict)
    """Of a message, in the configured currency, by category."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceList:
    """The prices of a number's gateway, by ISO country code or `OTHER_COUNTRY`."""

    countries: Mapping[str, CountryPrices] = field(default_factory=dict)

    def country_of(self, chat: str) -> str:
        """The country of the person of a chat, as far as it is in the list.

        A user id names it; else it is the longest calling code with which the number begins.
        """
        named = scoped_id(chat).partition(".")[0]
        if named in self.countries:
            return named
        digits = phone_digits(chat)
        fitting = [
            (len(prices.calling_code), country)
            for country, prices in self.countries.items()
            if prices.calling_code and digits.startswith(prices.calling_code)
        ]
        return max(fitting)[1] if fitting else OTHER_COUNTRY

    def micros(self, chat: str, category: str) -> int:
        """The price of a message to a chat, in millionths; 0 for what has no price here."""
        prices = self.countries.get(self.country_of(chat), CountryPrices())
        return round(prices.amounts.get(category, 0) * MICROS)
