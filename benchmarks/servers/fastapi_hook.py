"""FastAPI on uvicorn (uvloop, httptools): parse the JSON, answer, store nothing.

Usage: python fastapi_hook.py PORT (in an environment with requirements-peers.txt).
"""

import sys
from datetime import UTC, datetime
from typing import Any

import uvicorn
from fastapi import FastAPI

app = FastAPI()


@app.post("/hook")
async def hook(event: dict[str, Any]) -> dict[str, Any]:
    """Take one webhook call."""
    return {
        "received": bool(event),
        "timestamp": datetime.now(UTC).isoformat(),
        "environment": "development",
    }


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=False)
