"""How X counts a text: the cases of its own library, and what an address is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.platforms.x.text import ADDRESS, weighted_length

FAMILY = "\N{MAN}\u200d\N{WOMAN}\u200d\N{GIRL}\u200d\N{BOY}"
TONE = "\N{EMOJI MODIFIER FITZPATRICK TYPE-5}"
ENGLAND = "\N{WAVING BLACK FLAG}\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"
LONG_LABEL = "randomurl" * 7 + "s"


@pytest.mark.parametrize(
    ("text", "weight"),
    [
        ("", 0),
        ("This is a test.", 15),
        ("a\nb", 3),
        ("A\u0301B", 2),
        ("\N{HANGUL SYLLABLE JEO}\N{HIRAGANA LETTER NO}", 4),
        ("H\N{CAT FACE}\N{WHITE SMILING FACE}" + FAMILY, 7),
        ("\N{SMILING FACE WITH SUNGLASSES}\N{POUTING FACE}\N{FIRE}", 6),
        (f"\N{HAPPY PERSON RAISING ONE HAND}{TONE}\N{MAN}\u200d\N{ARTIST PALETTE}", 4),
        ("1\u20e3", 2),
        ("\N{REGIONAL INDICATOR SYMBOL LETTER B}\N{REGIONAL INDICATOR SYMBOL LETTER R}", 2),
        (f"Unicode 10.0 emoji: \N{PERSON WITH HEADSCARF}; \N{PERSON WITH HEADSCARF}{TONE}; {ENGLAND}", 30),
        ("\N{COPYRIGHT SIGN}", 1),
        ("\N{COPYRIGHT SIGN}\ufe0f", 2),
        ("\N{RIGHT SINGLE QUOTATION MARK}\N{EN DASH}\N{HORIZONTAL ELLIPSIS}", 4),
        ("285 chars-" + "xxxxxxxxxx-" * 25, 285),
    ],
)
def test_letters_emoji_and_other_scripts_have_their_weights(text: str, weight: int) -> None:
    assert weighted_length(text) == weight


@pytest.mark.parametrize(
    ("text", "weight"),
    [
        ("http://test.co", 23),
        ("Hi http://test.co", 26),
        ("https://www.example.com/aloha " * 10, 240),
        ("Test https://test.com test https://test.com test.com test", 86),
        ("HTTPS://EXAMPLE.COM/PATH", 23),
        ("https://example.com/path/to/resource?search=foo&lang=en#top", 23),
        ("https://example.com:8080/a", 23),
        ("http://example.com/\u0420\u0443\u0441\u0441\u043a\u0438\u0435", 23),
        ("example.com", 23),
        ("www.example.com", 23),
        ("foo.co.jp", 23),
        ("t.co", 23),
        ("example.de/page", 23),
        ("example.com/path/to?q=1", 23),
        ("see example.com, please", 4 + 23 + 8),
        ("(https://example.com/a_(b))", 25),
        ("https://example.com/a.", 24),
        ("https://test.com\N{HIRAGANA LETTER NO}", 25),
    ],
)
def test_an_address_weighs_23_and_nothing_around_it_is_taken_for_it(text: str, weight: int) -> None:
    assert weighted_length(text) == weight


@pytest.mark.parametrize(
    "text",
    ["http://user", "ok.no", "i.e. this", "v1.2.3", "me@example.com", "#example.com", "$a.com", LONG_LABEL + ".com"],
)
def test_what_only_looks_like_an_address_is_counted_letter_by_letter(text: str) -> None:
    assert ADDRESS.search(text) is None
    assert weighted_length(text) == len(text)


@given(st.text())
def test_any_text_has_a_weight_between_nothing_and_the_heaviest(text: str) -> None:
    assert 0 <= weighted_length(text) <= 23 * max(1, len(text))


@pytest.mark.parametrize(
    "text", ["a." * 20_000, "http://" + "a-" * 20_000, "a" * 60_000, "https://a.co/" + "(" * 20_000]
)
def test_a_hostile_text_is_counted_in_time(text: str) -> None:
    assert weighted_length(text) > 0
