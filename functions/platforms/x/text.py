"""How long a text is for X, which counts weights instead of characters.

A Latin letter weighs 1, most other characters 2, an emoji 2 however many code points it is made of, and an
address 23 whatever its length, since X replaces it. Source: the configuration of X's own text library, version 3.
"""

import re
import unicodedata

from functions.platforms.lengths import EMOJI

ADDRESS_WEIGHT = 23
EMOJI_WEIGHT = 2
HEAVY = 2
LIGHT_RANGES = ((0, 4351), (8192, 8205), (8208, 8223), (8242, 8247))
"""Code points that weigh 1, both ends included."""

COMMON_DOMAINS = (
    "com|org|net|edu|gov|mil|int|info|biz|name|pro|mobi|museum|aero|coop|jobs|travel|cat|tel|asia|xxx|"
    "app|dev|page|blog|shop|store|online|site|website|tech|cloud|digital|agency|studio|design|media|news|live|"
    "club|link|click|space|world|today|life|art|music|photo|photos|video|games|email|academy|school|company|"
    "solutions|services|systems|software|network|events|fun|xyz|top|vip|wiki|zone|one|social|group|team"
)
"""Domains of more than two letters that make an address without `https://`; X knows over a thousand."""
COUNTRIES = (
    "ac|ad|ae|af|ag|ai|al|am|ao|aq|ar|as|at|au|aw|ax|az|ba|bb|bd|be|bf|bg|bh|bi|bj|bm|bn|bo|br|bs|bt|bw|by|bz|"
    "ca|cc|cd|cf|cg|ch|ci|ck|cl|cm|cn|co|cr|cu|cv|cw|cx|cy|cz|de|dj|dk|dm|do|dz|ec|ee|eg|er|es|et|eu|fi|fj|fk|fm|"
    "fo|fr|ga|gb|gd|ge|gf|gg|gh|gi|gl|gm|gn|gp|gq|gr|gs|gt|gu|gw|gy|hk|hm|hn|hr|ht|hu|id|ie|il|im|in|io|iq|ir|is|"
    "it|je|jm|jo|jp|ke|kg|kh|ki|km|kn|kp|kr|kw|ky|kz|la|lb|lc|li|lk|lr|ls|lt|lu|lv|ly|ma|mc|md|me|mg|mh|mk|ml|mm|"
    "mn|mo|mp|mq|mr|ms|mt|mu|mv|mw|mx|my|mz|na|nc|ne|nf|ng|ni|nl|no|np|nr|nu|nz|om|pa|pe|pf|pg|ph|pk|pl|pm|pn|pr|"
    "ps|pt|pw|py|qa|re|ro|rs|ru|rw|sa|sb|sc|sd|se|sg|sh|si|sk|sl|sm|sn|so|sr|ss|st|su|sv|sx|sy|sz|tc|td|tf|tg|th|"
    "tj|tk|tl|tm|tn|to|tr|tt|tv|tw|tz|ua|ug|uk|us|uy|uz|va|vc|ve|vg|vi|vn|vu|wf|ws|ye|yt|za|zm|zw"
)

_LABEL = r"(?=[^.\s]{1,63}\.)[^\W_](?:[\w-]*[^\W_])?\."
_PATH_LETTERS = r"a-z0-9_\u00c0-\u024f\u0400-\u04ff"
_PATH = rf"[{_PATH_LETTERS}!*';:=+,.$/%#\[\]\-\u2013~@|&]"
_TAIL = (
    r"(?::\d+)?"
    rf"(?:/(?:{_PATH}|\({_PATH}*\))*(?<=[{_PATH_LETTERS}=#/+\-)]))?"
    rf"(?:\?[{_PATH_LETTERS}!?*'();:&=+$/%#\[\].,~|@\-]*[{_PATH_LETTERS}&=#/\-])?"
)
_END = r"(?![0-9a-z_@-])(?!\.[0-9a-z])"
ADDRESS = re.compile(
    r"(?<![\w@$#.\-/])"
    rf"(?:https?://(?:{_LABEL})+[a-z]{{2,63}}{_END}{_TAIL}"
    rf"|(?:{_LABEL})+(?:{COMMON_DOMAINS}){_END}{_TAIL}"
    rf"|(?:{_LABEL}){{2,}}(?:{COUNTRIES}){_END}{_TAIL}"
    rf"|{_LABEL}(?:{COUNTRIES})(?:{_END}(?=/){_TAIL}|(?<=\.co){_END}|(?<=\.tv){_END}))",
    re.IGNORECASE,
)
"""An address in a text. A lone `word.cc` of a country is one only before a path: it is too often a typing error."""

LONE_SIGNS = frozenset("\u00a9\u00ae")
"""Emoji only when something follows that asks for a picture."""


def weighted_length(text: str) -> int:
    """The weight of `text`; a post may have 280."""
    text = unicodedata.normalize("NFC", text)
    rest, addresses = ADDRESS.subn("", text)
    emoji = [each for each in EMOJI.findall(rest) if each not in LONE_SIGNS]
    rest = EMOJI.sub(lambda match: match.group() if match.group() in LONE_SIGNS else "", rest)
    return addresses * ADDRESS_WEIGHT + len(emoji) * EMOJI_WEIGHT + sum(_weight(character) for character in rest)


def _weight(character: str) -> int:
    return 1 if any(first <= ord(character) <= last for first, last in LIGHT_RANGES) else HEAVY
