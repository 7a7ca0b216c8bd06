"""A loopback image server that also plays what goes wrong in the world: errors that pass, pages where pictures were."""

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from model.errors import UserError
from model.files import read_json
from tasks.demo.catalogue import ANSWERS_FILE

HOST = "127.0.0.1"
FAILURES = 2  # of a picture that "fails twice and then comes"
CONTENT_TYPES = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".gif": "image/gif",
}
_START_TIMEOUT_S = 30.0


@contextmanager
def serve_images(folder: Path, port: int = 0) -> Iterator[str]:
    """Serve the pictures of a folder on 127.0.0.1 while the block runs; gives the base url, "http://127.0.0.1:PORT/".

    Pictures that the folder's `answers.json` lists under `fails_twice` get two 503 answers before they come. An HTML
    page in a picture's place comes with status 200, as in the world. Other files than pictures are not served.

    Args:
        folder: a demo catalogue's, or any other with pictures in it.
        port: 0 takes a free one.

    Raises:
        UserError: there is no such folder, or the port is taken.
    """
    if not folder.is_dir():
        raise UserError(f"no folder of pictures at {folder}; name one, or make one with make-catalog")
    app = make_app(folder)
    ready = threading.Event()
    outcome: dict[str, Any] = {}
    loop = asyncio.new_event_loop()

    def run() -> None:
        asyncio.set_event_loop(loop)
        runner = web.AppRunner(app, access_log=None)
        try:
            loop.run_until_complete(runner.setup())
            loop.run_until_complete(web.TCPSite(runner, HOST, port).start())
            outcome["port"] = runner.addresses[0][1]
        except OSError as error:
            outcome["error"] = error
        ready.set()
        try:
            if "port" in outcome:
                loop.run_forever()
        finally:
            loop.run_until_complete(runner.cleanup())
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()

    thread = threading.Thread(target=run, name="image server", daemon=True)
    thread.start()
    ready.wait(_START_TIMEOUT_S)
    if "port" not in outcome:
        thread.join(_START_TIMEOUT_S)
        raise UserError(f"cannot serve on {HOST}:{port}: {outcome.get('error')}; choose another port")
    try:
        yield f"http://{HOST}:{outcome['port']}/"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_START_TIMEOUT_S)


def _fails_twice(answers: Path) -> set[str]:
    try:
        return set(read_json(answers)["fails_twice"])
    except (OSError, ValueError, LookupError, TypeError):  # none, or something else's
        return set()


def make_app(folder: Path) -> web.Application:
    """The server as an aiohttp application; its count of failures starts anew."""
    root = folder.resolve()
    fails_twice = _fails_twice(root / ANSWERS_FILE)
    failed: Counter[str] = Counter()

    async def picture(request: web.Request) -> web.StreamResponse:
        name = request.match_info["path"]
        try:
            path = (root / name).resolve()
            served = path.suffix.lower() in CONTENT_TYPES and path.is_relative_to(root) and path.is_file()
        except (OSError, ValueError):  # a name that no file can have
            served = False
        if not served:
            raise web.HTTPNotFound
        if name in fails_twice and failed[name] < FAILURES:
            failed[name] += 1
            raise web.HTTPServiceUnavailable(headers={"Retry-After": "0"})
        body = await asyncio.to_thread(path.read_bytes)
        is_page = body.lstrip()[:9].lower() == b"<!doctype"
        return web.Response(body=body, content_type="text/html" if is_page else CONTENT_TYPES[path.suffix.lower()])

    app = web.Application()
    app.router.add_get("/{path:.+}", picture)
    return app
