"""A loopback server that misbehaves in every way that picture hosts do. Raw sockets, so that nothing corrects it."""
# ruff: noqa: ARG002  (the kinds share a signature)

import asyncio
import gzip
import io
import re
import socket
import struct
import threading
import time
import zlib
from collections import Counter
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from functools import cache
from types import TracebackType
from urllib.parse import unquote

import numpy as np
from PIL import Image

Writer = asyncio.StreamWriter
Handler = Callable[[str, Writer], Awaitable[None]]


@cache
def picture(seed: int = 0, *, width: int = 48, height: int = 60) -> Image.Image:
    """A smooth random picture: no two seeds are equal."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, form: str = "JPEG", **options: object) -> bytes:
    """A picture as a file."""
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


@cache
def jpeg(seed: int = 0) -> bytes:
    """A small JPEG."""
    return encoded(picture(seed), quality=90)


def png_header_only(width: int = 50, height: int = 50) -> bytes:
    """A PNG that ends after its header."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))


@cache
def png_bomb() -> bytes:
    """400 million pixels in some kilobytes."""
    return encoded(Image.new("1", (20_000, 20_000)), "PNG")


@cache
def gzip_bomb() -> bytes:
    """200 MB of zeros in 200 kB."""
    return gzip.compress(bytes(200_000_000), 1)


def answer(body: bytes, *, status: str = "200 OK", headers: str = "Content-Type: image/jpeg\r\n") -> bytes:
    """A whole HTTP answer that keeps the connection."""
    return f"HTTP/1.1 {status}\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body


def _redirect(location: str) -> bytes:
    return answer(b"", status="302 Found", headers=f"Location: {location}\r\n")


# Kinds whose answer is always the same.
ANSWERS: dict[str, Callable[[], bytes]] = {
    "404": lambda: answer(b"gone", status="404 Not Found"),
    "410": lambda: answer(b"", status="410 Gone"),
    "403": lambda: answer(b"", status="403 Forbidden"),
    "400": lambda: answer(b"", status="400 Bad Request"),
    "407": lambda: answer(b"", status="407 Proxy Authentication Required"),
    "no_tunnel": lambda: answer(b"", status="403 Forbidden"),
    "204": lambda: b"HTTP/1.1 204 No Content\r\n\r\n",
    "html": lambda: answer(b"<html><body>Out of stock" + b" " * 500, headers="Content-Type: text/html\r\n"),
    "header_only": lambda: answer(png_header_only()),
    "one_pixel": lambda: answer(encoded(Image.new("RGB", (1, 1)), "GIF")),
    "empty": lambda: answer(b""),
    "png_bomb": lambda: answer(png_bomb()),
    "gzip_bomb": lambda: answer(gzip_bomb(), headers="Content-Encoding: gzip\r\n"),
    "brotli": lambda: answer(b"??", headers="Content-Encoding: br\r\n"),
    "aws_chunked": lambda: answer(jpeg(2), headers="Content-Encoding: aws-chunked\r\n"),
    "huge": lambda: b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n" + bytes(1000),
    "redirect_ftp": lambda: _redirect("ftp://example.com/a.jpg"),
    "redirect_file": lambda: _redirect("file:///etc/passwd"),
    "redirect_metadata": lambda: _redirect("http://169.254.169.254/latest/meta-data/"),
    "redirect_nowhere": lambda: answer(b"", status="302 Found"),
    "redirect_odd": lambda: _redirect("//a[::1]@/x.jpg"),
    "429": lambda: answer(b"", status="429 Too Many Requests"),
    "429_odd": lambda: answer(
        b"", status="429 Too Many", headers=f"Retry-After: Mon, 01 Jan 2024 00:00:00 +{'9' * 20}\r\n"
    ),
    "429_date": lambda: answer(
        b"", status="429 Too Many", headers=f"Retry-After: {formatdate(time.time() + 2, usegmt=True)}\r\n"
    ),
    "429_long": lambda: answer(b"", status="429 Too Many Requests", headers="Retry-After: 1\r\n"),
    "429_hour": lambda: answer(b"", status="429 Too Many Requests", headers="Retry-After: 3600\r\n"),
    "500": lambda: answer(b"", status="500 Internal Server Error"),
    "cookie": lambda: answer(jpeg(1), headers="Set-Cookie: visitor=1\r\n"),
}


class FaultyServer:
    """Serves paths like /KIND/NUMBER; the number varies the picture, the kind says what goes wrong.

    As a proxy it answers for every host (`http://HOST/KIND/NUMBER`), and opens no tunnel.

    Attributes:
        asked: how often each path was asked for.
        connections: how many were opened.
        down: while True every connection is cut.
        leads_to: where /moved/NUMBER is: the base of another server.
        gone: paths of /ok/ that are answered with 404.
    """

    def __init__(self, *, latency_s: float = 0.0) -> None:
        self.asked: Counter[str] = Counter()
        self.headers: list[str] = []
        self.connections = self.in_flight = self.most_in_flight = 0
        self.down = False
        self.leads_to = ""
        self.gone: set[str] = set()
        self.latency_s = latency_s
        self._lock = threading.Lock()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._handlers: dict[str, Handler] = {
            name.removeprefix("_serve_"): getattr(self, name) for name in dir(self) if name.startswith("_serve_")
        }

    def __enter__(self) -> "FaultyServer":
        self._thread.start()
        started = asyncio.run_coroutine_threadsafe(asyncio.start_server(self._connected, "127.0.0.1", 0), self._loop)
        self._server = started.result()
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        async def stop() -> None:
            self._server.close()
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def restart(self, away_s: float) -> None:
        """Cut all connections and refuse new ones for a while."""

        async def go_and_come() -> None:
            self.down = True
            self._server.close()
            await asyncio.sleep(away_s)
            self.down = False
            self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)

        asyncio.run_coroutine_threadsafe(go_and_come(), self._loop).result()

    @property
    def base(self) -> str:
        """Its URL."""
        return f"http://127.0.0.1:{self.port}"

    async def _connected(self, reader: asyncio.StreamReader, writer: Writer) -> None:
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                target = head.split(" ")[1]
                path = "/no-tunnel/1" if head.startswith("CONNECT") else re.sub("^http://[^/]*", "", target)
                with self._lock:
                    self.asked[target] += 1
                    self.headers.append(head)
                    self.in_flight += 1
                    self.most_in_flight = max(self.most_in_flight, self.in_flight)
                try:
                    if self.down:
                        _reset(writer)
                        return
                    await asyncio.sleep(self.latency_s)
                    kind = path.split("/")[1].split("?")[0].replace("-", "_")
                    if kind in self._handlers:
                        await self._handlers[kind](path, writer)
                    else:
                        writer.write(ANSWERS[kind]())
                finally:
                    with self._lock:
                        self.in_flight -= 1
                await writer.drain()
                if writer.is_closing():
                    return
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the client or the test is done with this connection
        finally:
            writer.close()

    # Kinds that work, in the end.
    async def _serve_ok(self, path: str, writer: Writer) -> None:
        writer.write(ANSWERS["404"]() if path in self.gone else answer(jpeg(_number(path))))

    async def _serve_wrong_type(self, path: str, writer: Writer) -> None:
        writer.write(answer(jpeg(_number(path)), headers="Content-Type: text/html\r\n"))

    async def _serve_chunked(self, path: str, writer: Writer) -> None:
        body = jpeg(_number(path))
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for start in range(0, len(body), 100):
            block = body[start : start + 100]
            writer.write(f"{len(block):x}\r\n".encode() + block + b"\r\n")
        writer.write(b"0\r\n\r\n")

    async def _serve_gzip(self, path: str, writer: Writer) -> None:
        writer.write(answer(gzip.compress(jpeg(_number(path))), headers="Content-Encoding: gzip\r\n"))

    async def _serve_deflate(self, path: str, writer: Writer) -> None:
        writer.write(answer(zlib.compress(jpeg(_number(path))), headers="Content-Encoding: Deflate\r\n"))

    async def _serve_redirect_as(self, path: str, writer: Writer) -> None:
        writer.write(answer(b"", status=f"{_number(path)} Elsewhere", headers="Location: /ok/1\r\n"))

    async def _serve_redirect(self, path: str, writer: Writer) -> None:
        number = _number(path)
        left = int(path.split("left=")[1]) if "left=" in path else 3
        writer.write(_redirect(f"/redirect/{number}?left={left - 1}" if left > 1 else f"/ok/{number}"))

    async def _serve_moved(self, path: str, writer: Writer) -> None:
        writer.write(_redirect(f"{self.leads_to}/ok/{_number(path)}"))

    async def _serve_429_twice(self, path: str, writer: Writer) -> None:
        if self.asked[path] <= 2:
            writer.write(answer(b"slow down", status="429 Too Many Requests", headers="Retry-After: 0\r\n"))
        else:
            await self._serve_ok(path, writer)

    async def _serve_429_after(self, path: str, writer: Writer) -> None:
        after = unquote(path.partition("?")[2])
        writer.write(answer(b"", status="429 Too Many Requests", headers=f"Retry-After: {after}\r\n"))

    async def _serve_503_twice(self, path: str, writer: Writer) -> None:
        if self.asked[path] <= 2:
            writer.write(answer(b"", status="503 Service Unavailable"))
        else:
            await self._serve_ok(path, writer)

    async def _serve_reset_twice(self, path: str, writer: Writer) -> None:
        if self.asked[path] <= 2:
            _reset(writer)
        else:
            await self._serve_ok(path, writer)

    async def _serve_form(self, path: str, writer: Writer) -> None:
        number = _number(path)
        writer.write(answer(forms(number)[path.split("/")[3]]))

    # Kinds that fail for good.
    async def _serve_truncated(self, path: str, writer: Writer) -> None:
        body = jpeg(_number(path))
        writer.write(answer(body[: len(body) // 2]))

    async def _serve_endless(self, path: str, writer: Writer) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        block = b"4000\r\n" + bytes(0x4000) + b"\r\n"
        while True:
            writer.write(block)
            await writer.drain()

    async def _serve_redirect_loop(self, path: str, writer: Writer) -> None:
        there = "/redirect-loop/b" if path.endswith("a") else "/redirect-loop/a"
        writer.write(_redirect(there))

    async def _serve_redirect_many(self, path: str, writer: Writer) -> None:
        writer.write(_redirect(f"/redirect-many/{_number(path) + 1}"))

    async def _serve_redirect_private(self, path: str, writer: Writer) -> None:
        writer.write(_redirect(f"http://127.0.0.2:{self.port}/ok/{_number(path)}"))

    # Kinds that may pass, but do not.
    async def _serve_reset(self, path: str, writer: Writer) -> None:
        _reset(writer)

    async def _serve_cut(self, path: str, writer: Writer) -> None:
        writer.write(answer(jpeg(_number(path)))[:-50])
        writer.close()

    async def _serve_garbage(self, path: str, writer: Writer) -> None:
        writer.write(b"I do not speak HTTP\r\n\r\n" * 5)
        writer.close()

    async def _serve_silent(self, path: str, writer: Writer) -> None:
        await asyncio.sleep(3600)

    async def _serve_stall(self, path: str, writer: Writer) -> None:
        whole = answer(jpeg(_number(path)))
        writer.write(whole[: len(whole) // 2])
        await writer.drain()
        await asyncio.sleep(3600)

    async def _serve_slow_header(self, path: str, writer: Writer) -> None:
        await _drip(b"HTTP/1.1 200 OK\r\nX-Slow: " + b"z" * 100_000, writer)

    async def _serve_slow_body(self, path: str, writer: Writer) -> None:
        body = jpeg(_number(path))
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode())
        await _drip(body, writer)


FORMS = ("cmyk", "16bit", "palette", "animation", "exif", "grey", "webp")


@cache
def forms(number: int) -> dict[str, bytes]:
    """Right pictures in unusual forms."""
    image = picture(number)
    exif = Image.Exif()
    exif[0x0112] = 6
    grey16 = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    palette = image.quantize(16)
    return {
        "cmyk": encoded(image.convert("CMYK")),
        "16bit": encoded(grey16, "PNG"),
        "palette": encoded(palette, "PNG", transparency=3),
        "animation": encoded(image.quantize(), "GIF", save_all=True, append_images=[picture(number + 1).quantize()]),
        "exif": encoded(image, exif=exif),
        "grey": encoded(image.convert("L")),
        "webp": encoded(image, "WEBP"),
    }


def _number(path: str) -> int:
    digits = "".join(filter(str.isdigit, path.split("?", maxsplit=1)[0].split("/")[2]))
    return int(digits or 0)


def _reset(writer: Writer) -> None:
    """Cut the connection with a reset instead of an end."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _drip(data: bytes, writer: Writer) -> None:
    """One byte at a time: never silent, never done."""
    for byte in data:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.1)
