"""Whether a description names the right type and colour, and how good a description can be."""

from collections.abc import Mapping, Sequence
from typing import Any

from model.metrics import bleu
from model.text import tokenize
from tasks.demo.phrases import COLOUR_WORDS, TYPE_WORDS

_TYPE_OF = {word: kind for kind, words in TYPE_WORDS.items() for word in words}
_COLOUR_OF = {word: colour for colour, words in COLOUR_WORDS.items() for word in words}


def judge(description: str, answer: Mapping[str, Any]) -> tuple[bool, bool]:
    """Whether a description names its product's type, and its colour.

    Args:
        description: what was written.
        answer: `type`, `colour` and `second_colour` (may be None) of the product.

    Returns:
        The type is right if it is named by any of its words, and no other type is. The colour is right if the main
        colour is named, and no colour that the product does not have.
    """
    words = tokenize(description)
    types = {_TYPE_OF[word] for word in words if word in _TYPE_OF}
    colours = {_COLOUR_OF[word] for word in words if word in _COLOUR_OF}
    own = {answer["colour"], answer["second_colour"]}
    return types == {answer["type"]}, answer["colour"] in colours and colours <= own


def score_answers(descriptions: Mapping[str, str], answers: Mapping[str, Any]) -> dict[str, Any]:
    """Score descriptions of a demo catalogue's products against what is known of them.

    Args:
        descriptions: by record id; ids that the answers do not know are an error.
        answers: the content of `answers.json`.

    Returns:
        `all`, `seen` and `held_out` (the type × colour pairs that no training record has), each with `count` and the
        shares `type`, `colour` and `both`; `bleu_4`, and `ceiling_bleu_4`: what the second wording of the same
        products scores, written by who knows every detail.

    Raises:
        KeyError: a record id is not among the answers.
    """
    records = {record_id: answers["records"][record_id] for record_id in descriptions}
    verdicts = {record_id: judge(text, records[record_id]) for record_id, text in descriptions.items()}
    references = [[tokenize(record["description"])] for record in records.values()]
    return {
        "all": _shares(list(verdicts.values())),
        "seen": _shares([verdict for record_id, verdict in verdicts.items() if not records[record_id]["held_out"]]),
        "held_out": _shares([verdict for record_id, verdict in verdicts.items() if records[record_id]["held_out"]]),
        "bleu_4": bleu(references, [tokenize(text) for text in descriptions.values()])["bleu_4"],
        "ceiling_bleu_4": bleu(references, [tokenize(record["second_wording"]) for record in records.values()])[
            "bleu_4"
        ],
    }


def _shares(verdicts: Sequence[tuple[bool, bool]]) -> dict[str, float]:
    count = len(verdicts)
    if not count:
        return {"count": 0}
    return {
        "count": count,
        "type": sum(kind for kind, _ in verdicts) / count,
        "colour": sum(colour for _, colour in verdicts) / count,
        "both": sum(kind and colour for kind, colour in verdicts) / count,
    }
