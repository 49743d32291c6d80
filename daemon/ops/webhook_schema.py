"""Writes ``docs/webhooks.schema.json`` from the types of announcements.

``python -m daemon.ops.webhook_schema`` in the project's folder; a test fails while the file differs
from the code.
"""

import json
from pathlib import Path

from daemon.domain.announcements import schema


def main() -> None:
    """Rewrite the file."""
    text = json.dumps(schema(), ensure_ascii=False, indent=2)
    Path("docs/webhooks.schema.json").write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
