"""``python -m benchmarks.latency.echo PORT``: bare Starlette, that answers a decide's body with a few bytes."""

from __future__ import annotations

import sys

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


async def answer(request: Request) -> Response:
    """Whose decide it was."""
    visitor = orjson.loads(await request.body())["visitor"]["anonymousId"]
    return Response(orjson.dumps({"visitor": visitor}), media_type="application/json")


app = Starlette(routes=[Route("/v1/decide", answer, methods=["POST"])])

if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), loop="uvloop", http="httptools", access_log=False, log_level="warning")
