"""What a whole turn executes: webhook, model, reply, echo and status, in a daemon of its own."""

import json
import signal
import tempfile
from pathlib import Path

from contenders import BUILD, HERE
from subject import outside_world, recado, written

TURNS, WARM_UPS = 12, 6
TURNS_A_SECOND = 2
PATIENCE = 60
SETTINGS = {
    "RECADO_BUFFER__WINDOW_SECONDS": "0.1",
    # What is done every so often is no part of a turn.
    "RECADO_HOUSEKEEPING__FIGURES_SECONDS": "3600",
    "RECADO_HOUSEKEEPING__SWEEP_SECONDS": "3600",
}


def whole_turn() -> dict[str, int]:
    """Instructions of one turn, the daemon's own and those of its libraries, and its writes.

    Those of trio are not among them, nor is what threads do.
    """
    BUILD.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILD, prefix="turn-") as folder, outside_world() as world:
        output = Path(folder) / "counts.json"
        program = (str(HERE / "counted_daemon.py"), str(output))
        with recado(Path(folder) / "data", world, SETTINGS, program) as subject:
            world("manner", shortest=0.05, longest=0.06)
            world("burst", amount=WARM_UPS, rate=TURNS_A_SECOND, patience=PATIENCE)
            before = subject.figures()["recado_store_batch_rows_sum"]
            subject.process.send_signal(signal.SIGUSR2)
            found = world("burst", amount=TURNS, rate=TURNS_A_SECOND, patience=PATIENCE)
            subject.process.send_signal(signal.SIGUSR2)
            counts = json.loads(written(output))
            writes = subject.figures()["recado_store_batch_rows_sum"] - before
    if any(question["replies"] != 1 for question in found["questions"]):
        raise RuntimeError("a turn was not answered once")
    own = counts.get("daemon", 0)
    return {
        "instructions": own // TURNS,
        "library instructions": (sum(counts.values()) - own) // TURNS,
        "writes": round(writes / TURNS),
    }
