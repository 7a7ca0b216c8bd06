"""Leaving out of a progressive JPEG what a small picture of it does not show.

A progressive JPEG (ITU-T T.81, annex G) tells the pixels' frequencies in several scans; the last ones only add the
lowest bit of each number. They are up to half of the file and of the time that decoding takes, and where many pixels
become one, what they add is gone.
"""

import math
import re
from collections.abc import Iterator, Sequence

START, END, FRAME, SCAN = b"\xff\xd8", b"\xff\xd9", 0xC2, 0xDA
# A Huffman table (T.81, B.2.4.2) with one code, the bit 0, for "nothing new in 2^14 blocks and as many more as the next
# 14 bits say" (G.1.2.2); where the data ends, decoders read zeros: nothing new in the rest of the picture either.
TABLE = 3
NOTHING_TABLE = b"\xff\xc4" + (20).to_bytes(2, "big") + bytes([0x10 | TABLE, 1, *[0] * 15, 14 << 4])
NOTHING = bytes(2)
_NEXT_SEGMENT = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # in a scan's data: neither a stuffed byte nor a restart
SHORTEST_SEGMENT = 2
SIDE = 8  # of a block of frequencies


def last_bits_db(steps: Sequence[int], shrunk_x: float, shrunk_y: float) -> float:
    """How far below the picture, at least, lies what the last bits add to it, as a peak signal-to-noise ratio.

    A missing last bit is an error of one quantisation step. It counts for frequencies up to twice what the small
    picture can show, as no filter cuts sharply.

    Args:
        steps: the 64 quantisation steps of brightness, row by row.
        shrunk_x: how many times narrower the picture becomes.
        shrunk_y: how many times lower.
    """
    columns, rows = (math.ceil(2 * SIDE / shrunk) for shrunk in (shrunk_x, shrunk_y))
    shown = [steps[SIDE * row + column] for row in range(min(rows, SIDE)) for column in range(min(columns, SIDE))]
    error = sum(step**2 for step in shown[1:]) / SIDE**2  # mean square; the mean itself (0, 0) keeps its bits
    return 10 * math.log10(255**2 / error) if error else math.inf


def without_last_bits(data: bytes) -> bytes:
    """The same picture without the bits in its scans that refine frequencies to their last bit.

    Such a scan is replaced by one that says in a single word of its code that nothing is refined. Left out altogether,
    libjpeg would take the picture as unfinished, and spend a fifth of the decoding on guessing what is missing.
    A file that is no progressive JPEG, or not whole (it must stay recognisable as such), comes back as it is.
    """
    if not data.startswith(START) or not data.endswith(END):
        return data
    try:
        segments = list(_segments(data))
        refining = {start for kind, start, _ in segments if kind == SCAN and _refines(data, start)}
    except (ValueError, IndexError):
        return data
    if not any(kind == FRAME for kind, _, _ in segments):
        return data
    kept, empty = [START], []
    for _, start, stop in segments:
        if start in refining:
            empty.append(_empty_scan(data, start))
        else:
            kept.append(data[start:stop])
    # At the end, where no other scan needs the table that theirs replaces.
    return b"".join([*kept, NOTHING_TABLE, *empty, END] if empty else [*kept, END])


def _empty_scan(data: bytes, scan: int) -> bytes:
    """The header of a scan of one component, with the table of NOTHING_TABLE; of its data only the first code."""
    return b"".join([data[scan : scan + 6], bytes([TABLE]), data[scan + 7 : scan + 10], NOTHING])


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Each segment's marker, start and stop, a scan with its data.

    Raises:
        ValueError, IndexError: the file is damaged.
    """
    start = len(START)
    while data[start : start + 2] != END:
        if data[start] != 0xFF or data[start + 1] in {0x00, 0xFF}:
            raise ValueError(start)
        kind, length = data[start + 1], int.from_bytes(data[start + 2 : start + 4], "big")
        stop = start + 2 + length
        if length < SHORTEST_SEGMENT:
            raise ValueError(start)
        if kind == SCAN:
            found = _NEXT_SEGMENT.search(data, stop)
            if found is None:
                raise ValueError(start)
            stop = found.start()
        yield kind, start, stop
        start = stop


def _refines(data: bytes, scan: int) -> bool:
    """Whether a scan brings the last bit of frequencies above the mean (T.81, B.2.3: Ss > 0, Ah > 0, Al = 0).

    Such a scan has one component (G.1.1.1.1); what claims to have more is left to the decoder to refuse.
    """
    if data[scan + 4] != 1:
        return False
    first, _, bits = data[scan + 7 : scan + 10]
    return first > 0 and bits >> 4 > 0 and bits & 15 == 0
