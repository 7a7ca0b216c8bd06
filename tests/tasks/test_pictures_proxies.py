"""Behind a proxy: what goes through it, what does not, and that its own failures decide nothing."""

import asyncio
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from yarl import URL

from model.errors import RunError
from tasks.pictures.chunk_files import existing_chunks
from tasks.pictures.proxies import Proxies
from tasks.pictures.settings import FetchConfig
from tests.tasks.faulty_server import FaultyServer
from tests.tasks.pictures_dataset import Dataset

CONFIG = FetchConfig(attempts=2, backoff_s=0.01)
SHOP = "http://shop.invalid"  # a name that only the proxy can resolve


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyServer]:
    with FaultyServer() as running:
        for name in ("http_proxy", "https_proxy"):
            monkeypatch.setenv(name, f"http://user:secret@127.0.0.1:{running.port}")
        monkeypatch.setenv("no_proxy", ".direct.invalid")
        yield running


def test_pictures_come_through_the_proxy_that_the_environment_names(proxy: FaultyServer, tmp_path: Path) -> None:
    urls = [f"{SHOP}/ok/1", f"{SHOP}/redirect/2", f"{SHOP}/404/3"]
    dataset = Dataset(tmp_path, config=CONFIG).write_sample({"train": urls}).fetch()
    assert dataset.reasons == ["", "", "http_404"]
    assert set(urls) <= set(proxy.asked)
    assert "Proxy-Authorization: Basic" in proxy.headers[0]
    assert not any(b"secret" in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_what_no_proxy_names_and_this_machine_s_own_servers_are_asked_directly(
    proxy: FaultyServer, tmp_path: Path
) -> None:
    with FaultyServer() as server:
        urls = ["/ok/1", f"http://localhost:{server.port}/ok/2", "http://images.direct.invalid/ok/3"]
        config = replace(CONFIG, allow_private_hosts=True, max_failure_rate=1)
        dataset = Dataset(tmp_path, base=server.base, config=config).write_sample({"train": urls}).fetch()
        assert dataset.reasons == ["", "", "dns"]
        assert not proxy.asked


def test_nothing_private_is_asked_for_through_the_proxy(
    proxy: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve = socket.getaddrinfo

    def with_intranet(host: str, *more: object, **named: object) -> object:
        return resolve("10.1.2.3" if host == "wiki.intranet.invalid" else host, *more, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", with_intranet)
    private = [
        "http://10.1.2.3/ok/1",
        "http://localhost/ok/2",
        "http://127.1/ok/3",
        "http://wiki.intranet.invalid/ok/4",
    ]
    urls = [*private, f"{SHOP}/redirect-metadata/5", f"{SHOP}/ok/6"]
    dataset = Dataset(tmp_path, config=CONFIG).write_sample({"train": urls}).fetch()
    assert dataset.reasons == ["private_address"] * 5 + [""]
    assert set(proxy.asked) == set(urls[4:])


@pytest.mark.parametrize("urls", [f"{SHOP}/407", "https://shop.invalid/ok"], ids=["password", "tunnel"])
def test_a_proxy_that_refuses_decides_nothing_about_the_pictures(
    urls: str, proxy: FaultyServer, tmp_path: Path
) -> None:
    dataset = Dataset(tmp_path, config=CONFIG).write_sample({"train": [f"{urls}/{number}" for number in range(9)]})
    with pytest.raises(RunError, match=r"\d of 9 pictures .*\(proxy \d\)"):
        dataset.fetch()
    assert proxy.asked
    assert all(
        not outcome.settled for file in existing_chunks(tmp_path, dataset.image) for outcome in file.read_outcomes()[0]
    )


def test_a_proxy_that_is_not_there_is_an_outage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("http_proxy", "127.0.0.1:9")  # the discard port: nothing listens
    dataset = Dataset(tmp_path, config=CONFIG).write_sample({"train": [f"{SHOP}/ok/{n}" for n in range(9)]})
    with pytest.raises(RunError, match=r"\d of 9 pictures .*\(proxy \d\)"):
        dataset.fetch()


@pytest.mark.parametrize("value", ["socks5://127.0.0.1:1080", "http://[bad", "http://"])
def test_a_proxy_of_a_form_that_is_not_known_here_is_passed_over(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", value)
    monkeypatch.setenv("https_proxy", "proxy.example:3128")
    proxies = Proxies()
    assert proxies.proxy(URL("http://shop.example/1.jpg")) is None
    assert proxies.proxy(URL("https://shop.example/1.jpg")) == URL("http://proxy.example:3128")


def test_a_name_is_private_if_one_of_its_addresses_is_and_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def two_addresses(host: str, *_: object, **__: object) -> object:
        asked.append(host)
        time.sleep(0.1)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, 0)) for ip in ("93.184.216.34", "10.1.2.3")]

    monkeypatch.setattr(socket, "getaddrinfo", two_addresses)

    async def ask() -> list[object]:
        proxies = Proxies()
        first, second = (asyncio.create_task(proxies.is_private(URL(f"http://shop.example/{n}"))) for n in "12")
        await asyncio.sleep(0.05)
        first.cancel()  # as when its request has timed out: the other's goes on
        return [*await asyncio.gather(first, second, return_exceptions=True)]

    cancelled, private = asyncio.run(ask())
    assert isinstance(cancelled, asyncio.CancelledError)
    assert private is True
    assert asked == ["shop.example"]
