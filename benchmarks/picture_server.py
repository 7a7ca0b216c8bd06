"""A loopback server of pictures that costs next to nothing and whose pictures are all different.

A few drawn photographs are encoded with a restart marker after every strip. A strip between two markers decodes by
itself, so a picture is any strip of each height, one after the other: joined bytes, no encoding.
"""

import hashlib
import io
import re
import time
from collections import Counter
from dataclasses import replace

from aiohttp import web
from PIL import Image

from benchmarks.corpus import BASELINE, draw
from flows.server import LOOPBACK

PHOTOGRAPHS, STRIPS = 48, 8
SHOP = replace(BASELINE, name="shop", height_px=896)  # 8 strips of 7 rows of blocks, 16 px each
DEAD = 10  # one link of so many


def photograph(number: int) -> tuple[bytes, list[bytes]]:
    """A drawn photograph's JPEG header, and the coded bytes of its strips."""
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(draw(SHOP, number))) as drawn:
        drawn.save(buffer, "JPEG", quality=SHOP.quality, restart_marker_rows=SHOP.height_px // STRIPS // 16)
    data = buffer.getvalue()
    scan = data.index(b"\xff\xda")
    scan += 2 + int.from_bytes(data[scan + 2 : scan + 4], "big")
    strips = re.split(rb"\xff[\xd0-\xd7]", data[scan:-2])
    assert len(strips) == STRIPS
    return data[:scan], strips


class Shop:
    """Pictures by name. The same name gives the same picture, another name another; every tenth is gone."""

    def __init__(self) -> None:
        found = [photograph(number) for number in range(PHOTOGRAPHS)]
        self.header = found[0][0]  # the tables are the same in all
        self.strips = [strips for _, strips in found]
        self.asked: Counter[bytes] = Counter()

    def picture(self, digest: bytes) -> bytes:
        """The JPEG that belongs to a digest: one strip of each height."""
        parts = [self.header]
        for place in range(STRIPS):
            parts += [self.strips[digest[place] % PHOTOGRAPHS][place], bytes([0xFF, 0xD0 + place])]
        parts[-1] = b"\xff\xd9"  # the end, in place of the last marker
        return b"".join(parts)

    async def answer(self, request: web.Request) -> web.Response:
        """A picture, or 404."""
        digest = hashlib.sha256(request.path.encode()).digest()
        self.asked[digest] += 1
        if digest[-1] + 256 * digest[-2] < 65536 // DEAD:
            return web.Response(status=404)
        return web.Response(body=self.picture(digest), content_type="image/jpeg")

    async def stats(self, _: web.Request) -> web.Response:
        """How many requests came, for how many different pictures, at what cost."""
        counts = {"requests": self.asked.total(), "different": len(self.asked), "processor_s": time.process_time()}
        return web.json_response(counts)


async def healthy(_: web.Request) -> web.Response:
    """Up."""
    return web.Response(text="up")


def serve(port: int) -> None:
    """Serve on loopback until terminated."""
    shop = Shop()
    app = web.Application()
    app.router.add_get("/health", healthy)
    app.router.add_get("/stats", shop.stats)
    app.router.add_get("/{name}", shop.answer)
    web.run_app(app, host=LOOPBACK, port=port, access_log=None, print=None)
