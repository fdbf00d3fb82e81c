"""YouTube ids: out of links, and out of the names that downloaders give to files.

An id is 11 of the characters A-Z a-z 0-9 - _. It encodes 64 bits in 66, so that its last character is one of 16; that
is observed and promised nowhere, therefore only a guess (`named_youtube_id`) relies on it.
"""

import html
import posixpath
import re
from urllib.parse import unquote

# After embed/, two words of 11 characters name a playlist and a channel.
_ID = r"(?!(?:videoseries|live_stream)(?![\w-]))([A-Za-z0-9_-]{11})(?![A-Za-z0-9_-])"
_PLAIN = re.compile(_ID)
_LINK = re.compile(
    r"(?<![\w-])(?:(?i:youtu\.be)(?::\d+)?/+"
    r"|(?i:(?:youtube(?:-nocookie|kids|\.googleapis)?|ytimg)\.com(?::\d+)?/+(?:embed|shorts|live|v|vi|e|watch)/+)"
    r"|(?i:youtu\.be|youtube(?:-nocookie|kids)?\.com)(?::\d+)?/\S*?[?&#!]vi?=)" + _ID,
    re.ASCII,
)
_WINDOWS = re.compile(r"(?=([A-Za-z0-9_-]{11}))")
# Title [ID] (yt-dlp), Title-ID (youtube-dl) or ID, with the 16 last characters that 64 bits leave.
_NAMED = re.compile(r"(?:\[|^|-)([A-Za-z0-9_-]{10}[AEIMQUYcgkosw048])\]?$")


def youtube_id(text: str) -> str | None:
    """The YouTube id of a link in any form, or of a plain id; None where there is none.

    Links: watch?v=, youtu.be/, embed/, shorts/, live/, v/ on any YouTube host, with or without scheme, with further
    parameters and a fragment, also percent-encoded inside another link.
    """
    text = html.unescape(text.strip())
    found = _PLAIN.fullmatch(text) or _LINK.search(text) or _LINK.search(unquote(text))
    return found[1] if found else None


def named_youtube_id(path: str) -> str | None:
    """The YouTube id in the name of a downloaded file (a path or a link), where the name leaves little doubt.

    A word of 11 letters is not taken for an id: the last character must fit, and among the others must be two digits
    or capitals, the first letter's apart (3 in 1000 ids have fewer).
    """
    stem = posixpath.splitext(posixpath.basename(unquote(path.partition("?")[0])))[0]
    found = _NAMED.search(stem)
    return found[1] if found and len(re.findall("[A-Z0-9]", found[1][1:])) >= 2 else None


def possible_youtube_ids(text: str) -> list[str]:
    """Every stretch of a text that could be a YouTube id, in order: to be looked up among known ids, never believed.

    Whatever stands before and after an id (a title, a date, a counter), the id is among them.
    """
    return _WINDOWS.findall(text)
