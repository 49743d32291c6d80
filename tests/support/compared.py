"""A comparison of stored turns with a candidate, planted in a ledger."""

from support.place import Place
from support.rows import insert, select

VERDICTS = ("failed", "worse", "changed", "better", "equal", "same")


def plant_comparison(place: Place, *, number: int = 1, at: float = 100.0) -> None:
    """Compare all answered turns, each with every verdict."""
    insert(
        place,
        "comparisons",
        {
            "id": number,
            "channel": "main",
            "at": at,
            "instructions": "new.md",
            "model": "gpt-6-luna",
            "version": "0123456789abcdef",
            "simulated": 0,
            "currency": "USD",
            "left_out": 2,
            "judge_micros": 300,
            "agreed": 18,
            "labelled": 20,
        },
    )
    turns = select(place, "turns", "id", where={"outcome": "answered"})
    insert(
        place,
        "compared_turns",
        *(
            {
                "id": 1000 * number + 10 * turn + at_verdict,
                "comparison_id": number,
                "turn_id": turn,
                "verdict": verdict,
                "reason": "42",
                "answer": "" if verdict == "same" else "*1234*\n5678",
                "tools": "book_room",
                "not_recorded": "book_room",
                "micros": 2500,
                "seconds": 1.5,
            }
            for (turn,) in turns
            for at_verdict, verdict in enumerate(VERDICTS)
        ),
    )
