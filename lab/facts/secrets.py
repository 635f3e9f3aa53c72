"""What must not be seen: the one place that hides user names, passwords, keys and cookies."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise

HIDDEN = "***"
SECRET_HEADERS = ("authorization", "cookie", "proxy-authorization")
_IN_WORD = re.compile(r"(?i)(?<=//)[^/@]+(?=@)|(?<=^-a).+|(?<=^--auth=).+|(?<=authorization:).+")
_USER = re.compile(r"(?<=//)[^/?#]*@")


def hide_in_url(url: str) -> str:
    """The URL without user and password."""
    return _USER.sub("", url)


def hide_in_headers(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The headers with secrets as ***."""
    return [(n, HIDDEN if n.lower() in SECRET_HEADERS else value) for n, value in headers]


def hide_in_command(words: Sequence[str]) -> list[str]:
    """The words of a command line with secrets as ***."""
    plain = [_IN_WORD.sub(HIDDEN, word) for word in words]
    return [
        HIDDEN if option in ("-a", "--auth") else word for option, word in pairwise(["", *plain])
    ]
