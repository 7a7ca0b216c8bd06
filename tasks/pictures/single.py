"""One picture that a person named by URL."""

import asyncio

from model.errors import RunError, UserError
from tasks.catalog.urls import without_secrets
from tasks.pictures.address import Address, resolve
from tasks.pictures.client import Answer, Client
from tasks.pictures.outcome import Failed, Fetched
from tasks.pictures.settings import FetchConfig


def fetch_bytes(url: str) -> bytes:
    """The bytes behind a URL. Its host may be any, loopback too, because the user named it; a redirect may not.

    Raises:
        UserError: it is no URL, or its host refuses it for good.
        RunError: it does not answer.
    """
    address = resolve(url, None)
    if isinstance(address, Failed):
        raise UserError(f"{without_secrets(url)} is no address of a picture: {address.reason}")
    answer = asyncio.run(_ask(url, address))
    if isinstance(answer.result, Failed):
        kind = RunError if answer.result.passing else UserError
        raise kind(f"{address.shown} could not be fetched: {answer.result.reason}")
    return answer.result


async def _ask(url: str, address: Address) -> Answer[bytes]:
    client = Client(FetchConfig(), base=url)

    def use(fetched: Fetched) -> "asyncio.Future[bytes | Failed]":
        done: asyncio.Future[bytes | Failed] = asyncio.get_running_loop().create_future()
        done.set_result(fetched.data)
        return done

    try:
        return await client.get(address, use)
    finally:
        await client.close()
