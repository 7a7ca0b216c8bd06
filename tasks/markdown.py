"""Markdown for the pages of MLflow and Prefect, of words that others wrote."""

_SHOWN = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", **{sign: f"\\{sign}" for sign in "\\`*_~[]|#"}})


def escape(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    return " ".join(text.split()).translate(_SHOWN)


def fitted(text: str, most: int, rest: str) -> str:
    """A text of at most so many characters: a longer one ends after a whole line, with a last one in place of the rest.

    Args:
        text: Markdown.
        most: its reader cuts a longer one anywhere, or refuses it.
        rest: says where to read on.
    """
    if len(text) <= most:
        return text
    kept = text[: most - len(rest) - 1].rpartition("\n")[0]
    return f"{kept}\n\n{rest}"
