"""JSON arrays and JSON Lines, in blocks, so that memory does not grow with the file."""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from typing import Any

import orjson

from model.errors import UserError
from tasks.catalog.source import BLOCK_BYTES, Batch, Fault, Source

_FIRST_KEY = re.compile(rb'\s*\{\s*("(?:[^"\\]|\\.)*")')
_SEPARATOR_GUESSES = 16
_SPACE = re.compile(r"[ \t\n\r]*")


def _whole(digits: str) -> int | float:
    """A whole number as orjson reads it: one that 64 bits do not hold is a float."""
    number = int(digits) if len(digits) <= 20 else None
    return number if number is not None and -(2**63) <= number < 2**64 else float(digits)


_DECODER = json.JSONDecoder(strict=False, parse_int=_whole)  # a raw line break in a text costs no catalogue


def read_json_lines(source: Source, max_record_bytes: int) -> Iterator[Batch]:
    """One JSON value a line; places are lines, counted from 1. Empty lines are none."""
    line, rest, skipped = 1, b"", 0
    while True:
        block = source.read()
        lines = (rest + block).split(b"\n")
        rest = lines.pop() if block else b""
        records: list[Any] = []
        places: list[int] = []
        for number, text in enumerate(lines, line):
            if skipped or len(text) > max_record_bytes:
                records.append(_too_long(skipped + len(text), max_record_bytes))
                skipped = 0
            elif text.strip():
                records.append(parse_record(text))
            else:
                continue
            places.append(number)
        line += len(lines)
        if len(rest) > max_record_bytes:
            skipped, rest = skipped + len(rest), b""
        if records:
            yield Batch(records, places)
        if not block:
            return


def parse_record(text: bytes) -> Any:
    """One JSON value, or the fault that it has. NaN, which Python writes for a number that is none, is none."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        if b"NaN" in text or b"Infinity" in text:
            with suppress(ValueError, RecursionError):
                return _without_surrogates(_DECODER.decode(text.decode()))
        try:
            whole = text.decode()
        except UnicodeDecodeError as broken:
            return Fault("broken UTF-8", f"byte {broken.start} of the record: {broken.reason}")
        return Fault("broken JSON", f"byte {_size(whole[: error.pos])} of the record: {error.msg}")


def _too_long(count: int, bound: int) -> Fault:
    return Fault("record too long", f"{count:,} bytes, more than catalog.max_record_bytes = {bound:,}")


def read_json_array(source: Source, max_record_bytes: int, *, wrapped: bool = False) -> Iterator[Batch]:
    """The values of one JSON array, or of one that is `wrapped`: in an object; places are indices, counted from 0.

    A block is cut where a record begins that looks like the one before it (same first key), and parsed as a whole.
    A prefix of an array that parses when closed ends between two of its values, so a wrong guess cannot go unseen;
    it only costs reading that block again value by value.

    Raises:
        UserError: the array is broken; the message names the whole records before the break and its byte offset.
    """
    count, separator, at_end = 0, b"", False
    text = source.read()
    buffer = text[text.index(b"[") + 1 :]  # begins at a value
    offset = source.position - len(buffer)
    while not at_end:
        block = source.read(max(BLOCK_BYTES, len(buffer)))
        buffer, at_end = buffer + block, not block
        separator = separator or _learn_separator(buffer)
        records, used, closed = _parse_block(buffer, separator, at_end)
        if not used:
            records, used, closed = _parse_values(buffer, at_end, source, count, offset)
        if records:
            yield Batch(records, range(count, count + len(records)))
        count, offset, buffer = count + len(records), offset + used, buffer[used:]
        if closed:
            _check_nothing_follows(source, buffer, count, offset, wrapped=wrapped)
            return
        if len(buffer) > max_record_bytes and not records:
            raise UserError(
                f"{source.path}: the record after {count:,} whole records, at byte {offset:,}, is longer than "
                f"{max_record_bytes:,} bytes: mend it, or raise catalog.max_record_bytes"
            )


def _learn_separator(buffer: bytes) -> bytes:
    """What stands between the first two records, up to the first key; empty if it can't be told from this block."""
    first_key = _FIRST_KEY.match(buffer)
    if not first_key:
        return b""
    separator = re.compile(rb"\}\s*,\s*\{\s*" + re.escape(first_key[1]))
    for match in islice(separator.finditer(buffer, 0, BLOCK_BYTES), _SEPARATOR_GUESSES):
        try:
            orjson.loads(b"[" + buffer[: match.start() + 1] + b"]")
        except orjson.JSONDecodeError:
            continue
        return match.group()
    return b""


def _parse_block(buffer: bytes, separator: bytes, at_end: bool) -> tuple[list[Any], int, bool]:
    """The records up to the last separator, or to the array's end; how many bytes they took; whether it was the end."""
    cut = len(buffer) if at_end else (buffer.rfind(separator) + 1 if separator else 0)
    if not cut:
        return [], 0, False
    try:
        if at_end:
            return orjson.loads(b"[" + buffer), cut, True
        records: list[Any] = orjson.loads(b"[" + buffer[:cut] + b"]")
    except orjson.JSONDecodeError:
        return [], 0, False
    return records, buffer.index(b",", cut) + 1, False


def _parse_values(buffer: bytes, at_end: bool, source: Source, count: int, offset: int) -> tuple[list[Any], int, bool]:
    """As `_parse_block`, one value after another: slower, finds where a break is, forgives what one record may have."""
    text = buffer.decode("utf-8", "surrogateescape")
    records: list[Any] = []
    whole = position = 0  # `whole`: behind the last complete value and its comma
    try:
        while True:
            position = _skip_space(text, position)
            if text[position : position + 1] == "]":  # a comma before it costs no record
                return records, _size(text[: position + 1]), True
            if position == len(text):
                raise json.JSONDecodeError("unexpected end", text, position)
            value, position = _DECODER.raw_decode(text, position)
            position = _skip_space(text, position)
            follows = text[position : position + 1]
            if follows in {",", "]"}:
                records.append(_without_surrogates(value))
                whole = position = position + (follows == ",")
            elif follows:
                raise json.JSONDecodeError("expected a comma or the closing bracket", text, position)
            else:
                raise json.JSONDecodeError("unexpected end", text, position)
    except json.JSONDecodeError as error:
        cut_short = error.pos >= len(text) - 16 or error.msg.startswith("Unterminated string")
        if cut_short and not at_end:
            return records, _size(text[:whole]), False
        cut_short = cut_short and not (error.pos < len(text) and text.rstrip().endswith("]"))
        at = offset + _size(text[: len(text) if cut_short else error.pos])
        what = "breaks off" if cut_short else f"is broken ({error.msg})"
        raise UserError(
            f"{source.path} {what} at byte {at:,}, after {count + len(records):,} whole records: get it whole again"
        ) from None
    except RecursionError:
        raise UserError(
            f"{source.path}: the record after {count + len(records):,} whole records, at byte "
            f"{offset + _size(text[:whole]):,}, is nested too deeply"
        ) from None


def _skip_space(text: str, position: int) -> int:
    found = _SPACE.match(text, position)
    assert found is not None, "no space at all is a match too"
    return found.end()


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogateescape"))


def _without_surrogates(value: Any) -> Any:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return Fault("broken UTF-8", "bytes or escapes that are no character")
    return value


def _check_nothing_follows(source: Source, rest: bytes, count: int, offset: int, *, wrapped: bool) -> None:
    """Nothing but the end of the object that the array is wrapped in: in what follows, records would be lost."""
    if wrapped:
        rest += source.read()
        with suppress(orjson.JSONDecodeError):
            orjson.loads(b'{"":0' + rest)
            rest = b""
    while rest or (rest := source.read()):
        if rest.strip():
            raise UserError(f"{source.path}: something follows the array's end, at byte {offset:,} ({count:,} records)")
        rest = b""
