"""Words that others wrote, on pages that show Markdown."""

from tasks.markdown import escape, fitted


def test_text_from_a_catalogue_is_shown_as_it_is() -> None:
    assert escape("a *bold* <script>\n| cell") == r"a \*bold\* &lt;script&gt; \| cell"
    assert escape("R&amp;D ~~old~~ [x](y)") == r"R&amp;amp;D \~\~old\~\~ \[x\](y)"


def test_a_text_that_fits_is_left_alone_and_a_longer_one_loses_whole_lines() -> None:
    text = "first\nsecond\nthird"
    assert fitted(text, len(text), "rest") == text
    assert fitted("a\nbb\nccccccccc", 12, "rest") == "a\nbb\n\nrest"
    for most in range(7, len(text)):
        found = fitted(text, most, "rest")
        assert len(found) <= most
        assert found.endswith("\n\nrest")
        assert set(found.splitlines()) <= {"first", "second", "third", "", "rest"}
