"""Example tools for a small hotel: looking up free rooms, booking one, showing the way.

Copy this file and put your own system behind it. The sandbox uses it as it is.
"""

import json
from datetime import date, timedelta
from pathlib import Path

from daemon.tools import ToolContext, tool

ROOMS = {"101": ("doble", 180_000), "102": ("doble", 180_000), "201": ("suite", 320_000)}
"""Room, its kind, and its price a night in pesos."""

HOTEL = (4.711, -74.0721)
"""Coordinates of the hotel, in degrees."""

BOOKINGS = Path("data/hotel-bookings.jsonl")
"""The file of bookings; replace it with your hotel's own system."""


@tool
def check_availability(arrival: date, nights: int = 1) -> str:
    """Find the rooms that are free for a stay, with their price.

    Use it whenever the customer asks for availability or prices. Dates are YYYY-MM-DD.
    """
    if nights < 1:
        raise ValueError("a stay has at least one night")
    taken = {booking["room"] for booking in _bookings() if _overlaps(booking, arrival, nights)}
    free = [
        f"{room} ({kind}): ${price:,} a night, ${price * nights:,} in all"
        for room, (kind, price) in ROOMS.items()
        if room not in taken
    ]
    return "\n".join(free) or "No room is free for these dates."


@tool(effects=True, idempotent=True, concurrency=1)
def book_room(
    context: ToolContext, room: str, arrival: date, nights: int, guest: str
) -> dict[str, object]:
    """Book a room for a guest. Confirm room, dates and name with the customer first."""
    if room not in ROOMS:
        raise ValueError(f"there is no room {room}")
    # The key is the same for every attempt at this very call, so a repeated one books nothing.
    earlier = next((b for b in _bookings() if b["key"] == context.idempotency_key), None)
    if earlier is not None:
        return {"booked": True, "reference": earlier["key"][:8]}
    if any(b["room"] == room and _overlaps(b, arrival, nights) for b in _bookings()):
        return {"booked": False, "reason": "the room has just been taken"}
    booking = {
        "key": context.idempotency_key,
        "room": room,
        "arrival": arrival.isoformat(),
        "nights": nights,
        "guest": guest,
    }
    BOOKINGS.parent.mkdir(parents=True, exist_ok=True)
    with BOOKINGS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(booking) + "\n")
    return {"booked": True, "reference": context.idempotency_key[:8]}


@tool(effects=True, idempotent=True)
async def show_way(context: ToolContext) -> str:
    """Show the customer on a map where the hotel is, and ask how they will come."""
    await context.send_location(*HOTEL, name="Hotel Recado", address="Cra 7 # 1-20")
    await context.send_buttons(
        "¿Cómo piensa llegar?", {"taxi": "En taxi", "carro": "En mi carro", "bus": "En bus"}
    )
    return "The map and the question were sent. Say nothing more than that you wait for the answer."


def _bookings() -> list[dict[str, str]]:
    if not BOOKINGS.exists():
        return []
    return [json.loads(line) for line in BOOKINGS.read_text("utf-8").splitlines()]


def _overlaps(booking: dict[str, str], arrival: date, nights: int) -> bool:
    start = date.fromisoformat(booking["arrival"])
    end = start + timedelta(days=int(booking["nights"]))
    return start < arrival + timedelta(days=nights) and arrival < end
