"""What must not be seen: the one place that hides user names, passwords, keys and cookies.

It goes by names: of options, headers and query parameters. What is secret under a name that
does not say so cannot be known.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

HIDDEN = "***"
_SECRET = (
    r"auth|cookie|token|secret|passw|pwd|passphrase|credential|signature|session|jwt|bearer|"
    r"api[-_]?key|access[-_]?key|private[-_]?key|(?<![a-z])(?:key|sig|code)(?![a-z])"
)
_SECRET_NAME = re.compile(_SECRET, re.IGNORECASE)
_USER = re.compile(r"(?<=//)[^/?#\s]*@")  # up to the last @, as clients read it
_USER_ALONE = re.compile(r"^[^/?#]*@")  # of what was to be a URL, and is none
_PARAMETER = re.compile(r"(?<=[?&;])([^=&;#\s]*)=([^&;#\s'\"]+)")
_BODIES = ("-d", "--data", "--json")
_CREDENTIALS = ("-a", "--auth")
_HEADERS = ("-H", "--header")


def is_secret(name: str) -> bool:
    """Whether a header or a parameter of this name holds what nobody should see."""
    return bool(_SECRET_NAME.search(name))


def hide_in_text(text: str) -> str:
    """Any text with URLs in it: without users and passwords, and with *** for keys."""
    return _PARAMETER.sub(_hide_parameter, _USER.sub("", text))


def _hide_parameter(found: re.Match[str]) -> str:
    return f"{found[1]}={HIDDEN}" if is_secret(found[1]) else found[0]


def hide_in_url(url: str) -> str:
    """The URL without user and password, and with *** for keys."""
    return hide_in_text(url if "//" in url else _USER_ALONE.sub("", url))


def hide_in_header(name: str, value: str) -> str:
    """The value, or *** where the header's name says that it is secret."""
    return HIDDEN if is_secret(name) else hide_in_text(value)


def hide_in_headers(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(name, hide_in_header(name, value)) for name, value in headers]


def hide_in_command(words: Sequence[str]) -> list[str]:
    """The words of a command line of loadgen.py, without secrets and bodies."""
    shown, option = list[str](), ""
    for word in words:
        if option:
            shown.append(_hide_value(option, word))
            option = ""
        elif word in (*_BODIES, *_CREDENTIALS, *_HEADERS):
            shown.append(word)
            option = word
        else:
            shown.append(_hide_in_word(word))
    return shown


def _hide_in_word(word: str) -> str:
    """A word that is an option with its value, such as -aUSER:PASSWORD, or something else."""
    for option in (*_BODIES, *_CREDENTIALS, *_HEADERS):
        lead = f"{option}=" if option.startswith("--") else option
        if word.startswith(lead):
            return lead + _hide_value(option, word.removeprefix(lead))
    return hide_in_text(word)


def _hide_value(option: str, value: str) -> str:
    if option in _HEADERS:
        name, colon, text = value.partition(":")
        return f"{name}{colon} {hide_in_header(name, text.strip())}" if colon else HIDDEN
    is_file = option in ("-d", "--data") and value.startswith("@")
    return value if is_file else HIDDEN
