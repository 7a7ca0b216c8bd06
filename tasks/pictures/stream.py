"""Pictures for use at once, not for a dataset: in batches as they come, the next ones on their way meanwhile.

S picture side.
"""

import asyncio
import queue
from collections.abc import Collection, Generator, Sequence

import numpy as np
from numpy.typing import NDArray

from model.picture import ImageConfig, PictureError, decode
from tasks.pictures.address import Address
from tasks.pictures.fetcher import Fetcher, shared_fetcher
from tasks.pictures.outcome import Failed, Fetched
from tasks.pictures.settings import FetchConfig

Pixels = NDArray[np.uint8]
Ready = queue.Queue[tuple[int, Pixels | Failed]]
AHEAD_BATCHES = 4  # decoded or in flight beside the batch that is in use
STRAGGLERS_S = 1.0  # a batch that is not full does not wait longer than this for its next picture


def stream_pictures(
    addresses: Sequence[Address | Failed],
    *,
    image: ImageConfig,
    config: FetchConfig,
    named: Collection[str],
    batch: int,
) -> Generator[list[tuple[int, Pixels | Failed]]]:
    """Fetch or read pictures; give them in batches, as they come, so that a slow host holds up none but its own.

    Args:
        addresses: where they are; a failure stays one.
        image: size and resize rule.
        config: how to fetch.
        named: URLs that the user named: their hosts are trusted; see `Client`.
        batch: pictures at a time, at most.

    Yields:
        Places among the addresses, each with its picture uint8 (3, S, S) or why there is none.
    """
    ready: Ready = queue.Queue()
    with shared_fetcher(config, *named) as fetcher:
        feed = _Feed(addresses, image, fetcher, ready, room=AHEAD_BATCHES * batch)
        fetcher.run(feed.start())
        try:
            left = len(addresses)
            while left:
                some = _next(ready, min(batch, left), feed)
                left -= len(some)
                fetcher.run(feed.make_room(len(some)))
                yield some
        finally:
            fetcher.run(feed.stop())


class _Feed:
    """Asks for pictures on the fetcher's loop, at most `room` of them ahead of what was taken."""

    def __init__(
        self, addresses: Sequence[Address | Failed], image: ImageConfig, fetcher: Fetcher, ready: Ready, *, room: int
    ) -> None:
        self.addresses, self.image, self.fetcher, self.ready = addresses, image, fetcher, ready
        self.room = asyncio.Semaphore(room)
        self.task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to ask."""
        self.task = asyncio.create_task(self._run())

    async def make_room(self, count: int) -> None:
        """`count` pictures were taken."""
        for _ in range(count):
            self.room.release()

    async def stop(self) -> None:
        """Ask for no more; what is in flight is given up."""
        if self.task is not None:
            self.task.cancel()
            await asyncio.wait([self.task])

    def raise_defect(self) -> None:
        """Raise what went wrong that is none of the pictures' failures."""
        if self.task is not None and self.task.done() and (error := self.task.exception()):
            raise error

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for place, address in enumerate(self.addresses):
                await self.room.acquire()
                group.create_task(self._one(place, address))

    async def _one(self, place: int, address: Address | Failed) -> None:
        found = address if isinstance(address, Failed) else await _picture(address, self.image, self.fetcher)
        self.ready.put((place, found))


def _next(ready: Ready, most: int, feed: _Feed) -> list[tuple[int, Pixels | Failed]]:
    """Wait for one, then take what comes without much delay."""
    some: list[tuple[int, Pixels | Failed]] = []
    while len(some) < most:
        try:
            some.append(ready.get(timeout=STRAGGLERS_S))
        except queue.Empty:
            feed.raise_defect()
            if some:
                break
    return some


async def _picture(address: Address, image: ImageConfig, fetcher: Fetcher) -> Pixels | Failed:
    def decoded(data: bytes) -> Pixels | Failed:
        try:
            return decode(data, image)
        except PictureError as error:
            return Failed(reason=error.reason, detail=error.detail)

    async def use(fetched: Fetched) -> Pixels | Failed:
        return await fetcher.decode(lambda: decoded(fetched.data))

    try:
        return (await fetcher.client.get(address, use)).result
    except AssertionError:  # of our own making
        raise
    except Exception as error:  # no answer, however odd, may cost the other pictures
        return Failed(reason="unforeseen", detail=type(error).__name__)
