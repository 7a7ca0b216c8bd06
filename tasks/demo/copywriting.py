"""Copy for a product: one or two sentences, drawn from a grammar with many openings and orders.

What can be seen in the picture decides what is said; chance decides how, and which of the details are left out.
"""

import random
from collections.abc import Sequence

from tasks.demo import phrases
from tasks.demo.products import PLURAL, Product

DETAIL_IS_TOLD = 0.93
RARE_DETAIL_IS_TOLD = 0.4
SECOND_COLOUR_IS_TOLD = 0.85


def write_description(product: Product, rng: random.Random) -> str:
    """One wording. Another state of `rng` gives an independent one of the same product."""
    return _Writer(product, rng).write()


def write_title(product: Product, rng: random.Random) -> str:
    """Two to five words, lower-case, as FACAD's titles are."""
    writer = _Writer(product, rng)
    return " ".join(filter(None, (writer.one_head(), writer.colour(), writer.noun()))).lower()


def _article(words: str) -> str:
    return ("an " if words[0].lower() in "aeio" else "a ") + words


def _series(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


class _Writer:
    """One description in the making."""

    def __init__(self, product: Product, rng: random.Random) -> None:
        self.product, self.rng = product, rng
        self.plural = product.type in PLURAL

    def write(self) -> str:
        slots = [
            (slot, value)
            for slot, value in self.product.details.items()
            if self.rng.random() < (RARE_DETAIL_IS_TOLD if (slot, value) in phrases.RARELY else DETAIL_IS_TOLD)
        ]
        noun = self.noun()
        slots = [(slot, value) for slot, value in slots if not _said_by(noun, slot, value)]
        head_slots = [pair for pair in slots if pair in phrases.HEADS]
        heads = self.rng.sample(head_slots, min(len(head_slots), self.rng.choice((0, 0, 1, 1, 1, 2))))
        second_in_head = self.rng.random() < 0.45
        adjectives = [self.pick(phrases.HEADS[pair]) for pair in heads if pair[0] not in phrases.KINDS]
        kinds = [self.pick(phrases.HEADS[pair]) for pair in heads if pair[0] in phrases.KINDS]
        if self.rng.random() < 0.4:
            adjectives.insert(0, self.pick(phrases.OPINIONS))
        pattern = self.pattern_head(second=second_in_head)
        name = " ".join([*adjectives[:1], pattern, *adjectives[1:], *kinds, noun])
        details = [self.pick(ways) for pair in slots if pair not in heads and (ways := self.noun_phrases(pair))]
        if self.rng.random() < 0.3:
            self.rng.shuffle(details)
        if self.product.second_colour and not second_in_head and self.rng.random() < SECOND_COLOUR_IS_TOLD:
            told = self.fill(self.pick(phrases.PATTERN_NOUNS[self.product.pattern]))
            details.insert(0 if self.rng.random() < 0.7 else len(details), told)
        tail = self.pick(phrases.TAILS) if self.rng.random() < 0.35 else ""
        sentence = self.sentence(name, details, tail)
        if self.rng.random() < 0.15:
            sentence += " " + self.pick(phrases.CLOSERS)
        return sentence

    def pick(self, ways: Sequence[str]) -> str:
        """The first way is the likelier one."""
        return ways[0] if self.rng.random() < 0.4 else self.rng.choice(ways)

    def colour(self) -> str:
        return self.pick(phrases.COLOUR_WORDS[self.product.colour]) if self.rng.random() < 0.3 else self.product.colour

    def fill(self, way: str) -> str:
        second = self.product.second_colour or ""
        return way.replace("{c}", self.colour()).replace("{s}", second)

    def noun(self) -> str:
        for (kind, slot, value), ways in phrases.SPECIAL_NOUNS.items():
            if kind == self.product.type and self.product.details.get(slot) == value:
                return self.pick(ways)
        return self.pick(phrases.NOUNS[self.product.type])

    def pattern_head(self, *, second: bool) -> str:
        pattern = self.product.pattern
        ways = phrases.PATTERN_HEADS[pattern]
        if second and pattern != "solid":
            ways = phrases.PATTERN_HEADS_WITH_SECOND[pattern]
        return self.fill(self.pick(ways))

    def noun_phrases(self, pair: tuple[str, str]) -> Sequence[str]:
        if self.product.type == "hat" and pair[0] == "trim":
            pair = (f"{self.product.details['shape']} trim", pair[1])
        return phrases.NOUN_PHRASES.get(pair, ())

    def one_head(self) -> str:
        for pair in self.product.details.items():
            if pair in phrases.HEADS:
                return self.pick(phrases.HEADS[pair])
        return ""

    def sentence(self, name: str, details: list[str], tail: str) -> str:
        """Put the parts in one of the orders."""
        these, it, has, s = ("these", "they", "have", "") if self.plural else ("this", "it", "has", "s")
        one = name if self.plural else _article(name)
        end = f"{tail}."
        if not details:
            orders = [f"{one}{end}", f"meet {these} {name}{end}"]
        else:
            listed, last = _series(details), details[-1]
            verb = (
                self.pick(("finish", "shape", "set off"))
                if _many(details)
                else self.pick(("finishes", "shapes", "sets off"))
            )
            orders = [
                f"{one} with {listed}{end}",
                f"{these} {name} {has} {listed}{end}",
                f"{these} {name} come{s} with {listed}{end}",
                f"{these} {name} feature{s} {listed}{end}",
                f"{one}, finished with {listed}{end}",
                f"{listed} {verb} {these} {name}{end}",
                f"made with {listed}, {these} {name} {'are' if self.plural else 'is'} ready for anything.",
                f"our {name}, with {listed}{end}",
            ]
            if len(details) > 1:
                others = _series(details[:-1])
                orders += [
                    f"with {others}, {these} {name} also {has} {last}{end}",
                    f"{listed}: {these} {name} {has} it all{end}",
                    f"{one} with {others}{end} {it.capitalize()} {has} {last}, too.",
                    f"{one} with {others}; {it} come{s} with {last}{end}",
                ]
        told = orders[0] if self.rng.random() < 0.2 else self.rng.choice(orders)
        return told[0].upper() + told[1:]


def _many(details: Sequence[str]) -> bool:
    return len(details) > 1 or not details[0].startswith(("a ", "an ", "one "))


def _said_by(noun: str, slot: str, value: str) -> bool:
    """Whether the noun alone says the detail."""
    return (noun, slot, value) in {
        ("cardigan", "neckline", "cardigan"),
        ("parka", "collar", "hood"),
        ("jacket", "length", "short"),
    }
