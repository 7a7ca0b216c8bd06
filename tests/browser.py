"""A headless Chromium, driven over the WebDriver protocol (W3C) by plain HTTP. Debian: chromium, chromium-driver."""

import base64
import json
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def missing() -> str:
    """Why there is no browser here; empty if there is one."""
    absent = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    return f"no browser: {', '.join(absent)} not installed (Debian: chromium, chromium-driver)" if absent else ""


class Page:
    """One browser window."""

    def __init__(self, address: str, session: str) -> None:
        self.address = f"{address}/session/{session}"

    def open(self, url: str) -> None:
        """Go to a page."""
        call(f"{self.address}/url", {"url": url})

    def run(self, script: str) -> Any:
        """Run JavaScript; what it returns."""
        return call(f"{self.address}/execute/sync", {"script": script, "args": []})

    def text(self) -> str:
        """The words that the page shows."""
        return str(self.run("return document.body.innerText"))

    def wait(self, condition: Callable[["Page"], Any], *, timeout_s: float = 60) -> Any:
        """Wait until the condition holds; returns what it gave."""
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            if found := condition(self):
                return found
            time.sleep(0.5)
        raise TimeoutError(f"not on the page after {timeout_s} s; it shows: {self.text()[:2000]}")

    def screenshot(self, path: Path) -> None:
        """A PNG of the window."""
        path.write_bytes(base64.b64decode(call(f"{self.address}/screenshot")))


@contextmanager
def browser(width: int = 1500, height: int = 1400) -> Iterator[Page]:
    """A window in a new, empty profile."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        driver = subprocess.Popen(
            ["chromedriver", f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            flags = [*FLAGS, f"--user-data-dir={profile}", f"--window-size={width},{height}"]
            wanted = {"capabilities": {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": {"args": flags}}}}
            session = _when_up(f"{address}/session", wanted)["sessionId"]
            page = Page(address, session)
            try:
                yield page
            finally:
                call(page.address, method="DELETE")
        finally:
            driver.terminate()
            driver.wait(timeout=20)


def _when_up(url: str, body: dict[str, Any]) -> Any:
    for _ in range(60):
        try:
            return call(url, body)
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.5)
    raise TimeoutError(f"{url} does not answer")


def call(url: str, body: dict[str, Any] | None = None, *, method: str = "") -> Any:
    """One command of the protocol."""
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method or None)
    with urllib.request.urlopen(request, timeout=90) as answer:
        return json.load(answer)["value"]
