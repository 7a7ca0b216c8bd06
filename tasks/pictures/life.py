"""Proof of life: before a failure that may pass is given up, the network must show that it still brings pictures.

A host that gave a picture before must give that picture again. One that never gave any (a shop that has closed) is
given up if another host's picture still comes. So an outage never decides which records are in a dataset.
"""

import random
from collections.abc import Iterable, Sequence

from model.errors import RunError
from tasks.dataset_files import SAMPLE_FILE
from tasks.pictures.address import Address, FileAddress, WebAddress, resolve
from tasks.pictures.chunk_files import ChunkFile, existing_chunks
from tasks.pictures.fetcher import Fetcher
from tasks.pictures.outcome import Failed, Fetched
from tasks.pictures.tables import read_table

WITNESSES = 3  # pictures that are asked for again, and as many by chance: one lost since does not speak for its host
Origin = tuple[str, int]  # host and port


def proof_of_life(file: ChunkFile, addresses: Sequence[Address | Failed], base: str, fetcher: Fetcher) -> set[Origin]:
    """The hosts, with their ports, of addresses that fail which give pictures, before and now.

    Raises:
        RunError: a host that gave pictures gives none now, or no host does: likely an outage.
    """
    wanted = {address.origin for address in addresses if not isinstance(address, Failed)}
    witnesses = _witnesses(file, base)
    asked = wanted & witnesses.keys()
    if silent := [place for place in asked if not fetcher.run(_any_comes(witnesses[place], fetcher))]:
        raise _outage(f"{_hosts(silent)} gave pictures before and gives none now")
    others = [address for some in witnesses.values() for address in some[:1]]
    if wanted - asked and not fetcher.run(_any_comes(others, fetcher)):
        raise _outage(f"{_hosts(wanted)}: no host gives a picture now")
    return asked


def _hosts(places: Iterable[Origin]) -> str:
    return ", ".join(sorted({host for host, _ in places})[:5])


def _outage(what: str) -> RunError:
    return RunError(f"{what}: this looks like an outage. Nothing is lost: check the network, then resume")


def _witnesses(file: ChunkFile, base: str) -> dict[Origin, list[Address]]:
    """By host and port, addresses whose picture came in any chunk of the dataset; last, those of earlier datasets."""
    sample = read_table(file.folder / SAMPLE_FILE, ["record_id", "url"])
    urls = dict(zip(sample["record_id"].to_pylist(), sample["url"].to_pylist(), strict=True))
    outcomes = [one for other in existing_chunks(file.folder, file.image) for one in other.read_outcomes()[0]]
    witnesses: dict[Origin, list[Address]] = {}
    for outcome in sorted(outcomes, key=lambda one: one.status != "fetched"):
        address = resolve(urls[outcome.record_id], base) if outcome.usable else None
        if isinstance(address, WebAddress | FileAddress):
            witnesses.setdefault(address.origin, []).append(address)
    return witnesses


async def _any_comes(addresses: Sequence[Address], fetcher: Fetcher) -> bool:
    """Whether any of the first addresses, or of a few others, still gives its file."""

    async def use(fetched: Fetched) -> Fetched:
        return fetched

    first, others = addresses[:WITNESSES], addresses[WITNESSES:]
    for address in [*first, *random.sample(others, min(WITNESSES, len(others)))]:
        fetcher.client.reopen(address)
        answer = await fetcher.client.get(address, use)
        if isinstance(answer.result, Fetched):
            return True
    return False
