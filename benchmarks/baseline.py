"""What a decision is measured against: Starlette, one redis-py GET, uvloop, httptools, hiredis, pooled, orjson."""

import os

import orjson
import uvicorn
from redis.asyncio import Redis
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

redis = Redis.from_url(os.environ["NEXTBEST_REDIS"], max_connections=128)


async def read(request: Request) -> Response:
    """How many bytes Redis keeps of the visitor."""
    visitor = orjson.loads(await request.body())["visitor"]["anonymousId"]
    value = await redis.get("bench:visitor:{a:" + visitor + "}")
    return Response(orjson.dumps({"bytes": len(value or b"")}), media_type="application/json")


app = Starlette(routes=[Route("/v1/decide", read, methods=["POST"])])
if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ["NEXTBEST_PORT"]), loop="uvloop", http="httptools", access_log=False)
