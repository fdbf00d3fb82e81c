"""YouTube ids in links, and guessed from file names; known ids are found in names by `sources.names`.

An id has 11 of the characters A-Z a-z 0-9 - _. It encodes 64 bits in 66, so its last character is one of 16. This is an
observation and not documented; only `named_youtube_id`, which guesses, relies on it.
"""

import html
import posixpath
import re
from urllib.parse import unquote

# After embed/, these two words of 11 characters are not ids: they stand for a playlist and a channel.
_ID = r"(?!(?:videoseries|live_stream)(?![\w-]))([A-Za-z0-9_-]{11})(?![A-Za-z0-9_-])"
_BARE_ID = re.compile(_ID)
_LINK = re.compile(
    r"(?<![\w-])(?:(?i:youtu\.be)(?::\d+)?/+"
    r"|(?i:(?:youtube(?:-nocookie|kids|\.googleapis)?|ytimg)\.com(?::\d+)?/+(?:embed|shorts|live|v|vi|e|watch)/+)"
    r"|(?i:youtu\.be|youtube(?:-nocookie|kids)?\.com)(?::\d+)?/\S*?[?&#!]vi?=)" + _ID,
    re.ASCII,
)
# Title [ID] (yt-dlp), Title-ID (youtube-dl) or ID, with one of the 16 possible last characters.
_NAMED = re.compile(r"(?:\[|^|-)([A-Za-z0-9_-]{10}[AEIMQUYcgkosw048])\]?$")


def youtube_id(text: str) -> str | None:
    """The YouTube id in a link of any form, or in a text that is an id; None if there is none.

    Links: watch?v=, youtu.be/, embed/, shorts/, live/, v/ on any YouTube host, with or without scheme, with further
    parameters and a fragment, also percent-encoded inside another link.
    """
    text = html.unescape(text.strip())
    found = _BARE_ID.fullmatch(text) or _LINK.search(text) or _LINK.search(unquote(text))
    return found[1] if found else None


def named_youtube_id(path: str) -> str | None:
    """The YouTube id in the name of a downloaded file (a path or a link), if the name clearly contains one.

    To exclude words of 11 letters, the last character must be a possible one, and the characters after the first must
    include two digits or capitals (3 in 1000 ids do not).
    """
    stem = posixpath.splitext(posixpath.basename(unquote(path.partition("?")[0])))[0]
    found = _NAMED.search(stem)
    return found[1] if found and len(re.findall("[A-Z0-9]", found[1][1:])) >= 2 else None
