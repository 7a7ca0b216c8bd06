"""Proof of life: before a failure that may pass is given up, the network must show that it still brings pictures.

A host that gave a picture before must give that picture again. One that never gave any (a shop that has closed) is
given up if another host's picture still comes. So an outage never decides which records are in a dataset.
"""

from collections.abc import Sequence

from model.errors import RunError
from tasks.catalog.sampling import SAMPLE_FILE
from tasks.pictures.address import Address, FileAddress, WebAddress, resolve
from tasks.pictures.chunk_files import ChunkFile, existing_chunks
from tasks.pictures.fetcher import Fetcher
from tasks.pictures.outcome import Failed, Fetched
from tasks.pictures.tables import read_table

WITNESSES = 3  # pictures that are asked for again, so that one lost since does not speak for its host


def proof_of_life(
    file: ChunkFile, addresses: Sequence[Address | Failed], base: str | None, fetcher: Fetcher
) -> set[str]:
    """The hosts of addresses that fail which give pictures, before and now.

    Raises:
        RunError: a host that gave pictures gives none now, or no host does: likely an outage.
    """
    wanted = {address.host for address in addresses if not isinstance(address, Failed)}
    witnesses = _witnesses(file, base)
    asked = wanted & witnesses.keys()
    if silent := sorted(host for host in asked if not fetcher.run(_any_comes(witnesses[host], fetcher))):
        raise _outage(f"{', '.join(silent[:5])} gave pictures before and gives none now")
    others = [address for some in witnesses.values() for address in some[:1]][:WITNESSES]
    if wanted - asked and not fetcher.run(_any_comes(others, fetcher)):
        raise _outage(f"{', '.join(sorted(wanted)[:5])}: no host gives a picture now")
    return asked


def _outage(what: str) -> RunError:
    return RunError(f"{what}: this looks like an outage. Nothing is lost: check the network, then resume")


def _witnesses(file: ChunkFile, base: str | None) -> dict[str, list[Address]]:
    """By host, addresses whose picture came in any chunk of the dataset, now or for an earlier dataset."""
    sample = read_table(file.folder / SAMPLE_FILE, ["record_id", "url"])
    urls = dict(zip(sample["record_id"].to_pylist(), sample["url"].to_pylist(), strict=True))
    witnesses: dict[str, list[Address]] = {}
    for other in existing_chunks(file.folder, file.image):
        for outcome in other.read_outcomes()[0]:
            if not outcome.usable:
                continue
            address = resolve(urls[outcome.record_id], base)
            if isinstance(address, WebAddress | FileAddress):
                some = witnesses.setdefault(address.host, [])
                if len(some) < WITNESSES:
                    some.append(address)
    return witnesses


async def _any_comes(addresses: Sequence[Address], fetcher: Fetcher) -> bool:
    """Whether any of the addresses still gives its file."""

    async def use(fetched: Fetched) -> Fetched:
        return fetched

    for address in addresses:
        fetcher.client.reopen(address)
        answer = await fetcher.client.get(address, use)
        if isinstance(answer.result, Fetched):
            return True
    return False
