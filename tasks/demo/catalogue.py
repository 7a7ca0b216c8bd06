"""A demo catalogue on disk: `catalog.json` in FACAD's shape, its pictures, and `answers.json`, what is known of it.

    OUT/catalog.json   OUT/answers.json   OUT/images/<type>/<id>-….jpg

Deterministic: the same items and seeds give the same bytes, whatever the number of processes.
"""

import json
import multiprocessing
import os
import random
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from model.configuration import check
from model.errors import UserError
from model.files import write_json, write_text
from model.text import tokenize
from tasks.demo import phrases
from tasks.demo.copywriting import write_title
from tasks.demo.drawing import draw_picture
from tasks.demo.faults import MALFORMED_URLS, picture_file, picture_suffix, planted_counts
from tasks.demo.plan import Pair, Planned, plan_products
from tasks.demo.products import COLOURS, TYPES, Product
from tasks.progress import progress

CATALOG_FILE, ANSWERS_FILE, PICTURES_FOLDER = "catalog.json", "answers.json", "images"
# As FACAD's urls do, ours ask for a thumbnail; who wants the picture cuts the query.
THUMBNAIL_QUERY = "?crop=pad&pad_color=FFF&format=jpeg&w=60&h=90"
FIRST_ID = 100_000
SECOND_VIEW_SHARE, OTHER_COLOUR_SHARE = 0.1, 0.1
_PICTURES_A_JOB = 32
_STOP_WORDS = frozenset(tokenize("a an the of with at to that and in on all well above below around one two three no"))


@dataclass(frozen=True, kw_only=True)
class DemoCatalogue:
    """What was made.

    Attributes:
        folder: holds the catalogue and the pictures; to be served, or named as `--image-base-url`.
        catalog: the catalogue.
        answers: what is known of each record.
        records: records in the catalogue, repetitions included.
        planted: how many records have each fault.
        held_out_records: records whose type × colour pair stands in the test split only.
        pictures: picture files written.
    """

    folder: Path
    catalog: Path
    answers: Path
    records: int
    planted: Mapping[str, int]
    held_out_records: int
    pictures: int


@dataclass(frozen=True, kw_only=True)
class _Job:
    path: Path
    product: Product
    key: str
    fault: str = ""


def make_catalog(
    items: int, out: Path, seed: int = 0, *, split_seed: int, processes: int | None = None
) -> DemoCatalogue:
    """Make a demo catalogue of `items` records in the folder `out`.

    Args:
        items: records, those that repeat a description included.
        out: a folder; made if it is not there, and what was made in it before is replaced.
        seed: of products, wordings and pictures.
        split_seed: the seed that the pipeline will split with; records of held-out pairs are worded to fall into test.
        processes: that draw; as many as there are cores by default, one for small catalogues.

    Raises:
        SettingError: `items` is less than 1.
        UserError: the folder cannot be written.
    """
    check(items >= 1, "items", items, "at least 1")
    try:
        (out / PICTURES_FOLDER).mkdir(parents=True, exist_ok=True)
        return _make(items, out, seed, split_seed, processes or (1 if items < 200 else os.cpu_count() or 1))
    except OSError as error:
        raise UserError(f"cannot write the demo catalogue to {out}: {error.strerror}; choose another folder") from error


def _make(items: int, out: Path, seed: int, split_seed: int, processes: int) -> DemoCatalogue:
    planned, held_out = plan_products(items, seed, split_seed)
    rng = random.Random(f"{seed}/catalogue")
    ids = rng.sample(range(FIRST_ID, FIRST_ID + 10 * items), items)
    records: list[dict[str, Any]] = []
    answers: dict[str, Any] = {}
    jobs: list[_Job] = []
    for one in planned:
        record = _record(one, ids[one.number], seed, set(held_out), jobs, out)
        records.append(record)
        answers[str(record["id"])] = _answer(one, one.fault)
    sound = [one for one in planned if not one.fault]
    for one, repeat_id in zip(rng.sample(sound, items - len(planned)), ids[len(planned) :], strict=True):
        original = records[one.number]
        if rng.random() < 0.5:  # another size: the same picture
            repeat = {**original, "id": repeat_id}
        else:
            again = replace(one, number=items + repeat_id)
            repeat = {**_record(again, repeat_id, seed, set(held_out), jobs, out), "title": original["title"]}
        repeat["detail_info"] = _detail_info(one.description, repeat_id)
        records.append(repeat)
        answers[str(repeat_id)] = {**_answer(one, "repeated_description"), "repeats": str(original["id"])}
    rng.shuffle(records)
    (out / CATALOG_FILE).unlink(missing_ok=True)
    _draw_all(jobs, processes)
    fails_twice = sorted(_path_of(record) for record in records if answers[str(record["id"])]["fault"] == "fails_twice")
    counts = planted_counts(items)
    write_json(
        out / ANSWERS_FILE,
        {
            "items": items,
            "seed": seed,
            "split_seed": split_seed,
            "planted": counts,
            "fails_twice": fails_twice,
            "held_out_pairs": held_out,
            "type_words": phrases.TYPE_WORDS,
            "colour_words": phrases.COLOUR_WORDS,
            "records": answers,
        },
    )
    # Last, so that a catalogue that is there is whole.
    write_text(out / CATALOG_FILE, json.dumps(records, indent=1) + "\n")
    return DemoCatalogue(
        folder=out,
        catalog=out / CATALOG_FILE,
        answers=out / ANSWERS_FILE,
        records=items,
        planted=counts,
        held_out_records=sum(answer["held_out"] for answer in answers.values()),
        pictures=sum(job.fault != "dead_link" for job in jobs),
    )


def _answer(one: Planned, fault: str) -> dict[str, Any]:
    return {
        "type": one.product.type,
        "colour": one.product.colour,
        "second_colour": one.product.second_colour,
        "pattern": one.product.pattern,
        "details": dict(one.product.details),
        "held_out": one.held_out,
        "description": one.description,
        "second_wording": one.second_wording,
        "fault": fault,
    }


def _record(
    one: Planned, record_id: int, seed: int, held_out: set[Pair], jobs: list[_Job], out: Path
) -> dict[str, Any]:
    """The record as the catalogue has it; its pictures are added to `jobs`."""
    rng = random.Random(f"{seed}/record/{one.number}")
    product, stem = one.product, f"{PICTURES_FOLDER}/{one.product.type}/{record_id}"

    def picture(name: str, shown: Product, fault: str = "") -> str:
        path = f"{stem}-{name}{picture_suffix(fault)}"
        jobs.append(_Job(path=out / path, product=shown, key=f"{seed}/{record_id}/{name}", fault=fault))
        return path + THUMBNAIL_QUERY

    if one.fault == "null_url":
        images: list[dict[str, Any]] = [{"color": product.colour.title(), "0": None}]
    elif one.fault == "malformed_url":
        images = [{"color": product.colour.title(), "0": rng.choice(MALFORMED_URLS)}]
    else:
        images = [{"color": product.colour.title(), "0": picture("0", product, one.fault)}]
        if rng.random() < SECOND_VIEW_SHARE:
            images[0]["1"] = picture("1", product)
        others = [
            colour for colour in COLOURS if (product.type, colour) not in held_out and colour != product.second_colour
        ]
        if rng.random() < OTHER_COLOUR_SHARE and (other := rng.choice(others)) != product.colour:
            images.append({"color": other.title(), "0": picture(other, replace(product, colour=other))})
    described = one.fault not in ("no_description", "no_text")
    attr = _attributes(one.description)
    return {
        "id": record_id,
        "images": images,
        "title": write_title(product, rng),
        "description": one.description if described else "",
        "detail_info": "" if one.fault == "no_text" else _detail_info(one.description, record_id),
        "categoryid": TYPES.index(product.type),
        "category": product.type,
        "attr": attr,
        "attrid": [_ATTRIBUTE_IDS.get(word, 0) for word in attr],
    }


def _detail_info(description: str, record_id: int) -> str:
    return f"DETAILS & CARE\n{description}\nImported\nItem #{record_id}"


def _attribute_words() -> list[str]:
    """Every word that says what can be seen, sorted."""
    ways = [*phrases.COLOUR_WORDS.values(), *phrases.TYPE_WORDS.values(), *phrases.PATTERN_HEADS.values()]
    ways += [*phrases.PATTERN_NOUNS.values(), *phrases.HEADS.values(), *phrases.NOUN_PHRASES.values()]
    words = {word for group in ways for way in group for word in tokenize(way.replace("{c}", "").replace("{s}", ""))}
    return sorted(words - _STOP_WORDS)


_ATTRIBUTE_IDS: Mapping[str, int] = {word: number for number, word in enumerate(_attribute_words(), 1)}


def _attributes(description: str) -> list[str]:
    """FACAD's `attr`: one entry a word of the description, "nah" where the word is no attribute."""
    return [word if word in _ATTRIBUTE_IDS else "nah" for word in tokenize(description)]


def _path_of(record: Mapping[str, Any]) -> str:
    url: str = record["images"][0]["0"]
    return url.partition("?")[0]


def _draw_all(jobs: list[_Job], processes: int) -> None:
    for folder in {job.path.parent for job in jobs}:
        folder.mkdir(parents=True, exist_ok=True)
    with progress("draw pictures", len(jobs), unit="pictures") as bar:
        if processes == 1:
            for job in jobs:
                _draw(job)
                bar.advance()
            return
        # Spawned, not forked: the caller may have threads.
        batches = [jobs[start : start + _PICTURES_A_JOB] for start in range(0, len(jobs), _PICTURES_A_JOB)]
        with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
            for done in pool.map(_draw_batch, batches):
                bar.advance(done)


def _draw_batch(jobs: list[_Job]) -> int:
    for job in jobs:
        _draw(job)
    return len(jobs)


def _draw(job: _Job) -> None:
    rng = random.Random(job.key)
    content = picture_file(draw_picture(job.product, rng), job.fault, rng)
    if content is None:
        job.path.unlink(missing_ok=True)
    else:
        job.path.write_bytes(content)
