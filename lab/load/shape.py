"""What answers look like that differ only where it matters to nobody."""

from __future__ import annotations

import re

_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+:)[\t -~\x80-\xff]*")
_ANY_VALUE = rb"[\t -~\x80-\xff]*"
_LENGTH = re.compile(rb"([\t ]*)(\d{1,15})")
# They say where an answer ends, and whether the connection does.
_FRAMING = (b"connection:", b"proxy-connection:", b"transfer-encoding:", b"upgrade:")


def describe_head(head: bytes, body_bytes: int) -> re.Pattern[bytes] | None:
    """A pattern for the heads that have the same status and the same headers, whose values may
    be others, but for those that frame an answer. Its one group is the body's length.

    None where the head is not strictly by the book, or does not say once how long the body is.
    """
    status, *fields = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    lines, lengths = [re.escape(status)], 0
    for field in fields:
        found = _FIELD.fullmatch(field)
        if not found:
            return None
        name = found[1]
        if name.lower() == b"content-length:":
            length = _LENGTH.fullmatch(field, len(name))
            if not length or int(length[2]) != body_bytes:
                return None
            # an answer without a body may be one that never has any, whatever it says
            lines.append(re.escape(name + length[1]) + (rb"(\d{1,15})" if body_bytes else rb"(0)"))
            lengths += 1
        else:
            is_free = name.lower() not in _FRAMING
            lines.append(re.escape(name) + _ANY_VALUE if is_free else re.escape(field))
    return re.compile(b"\r\n".join(lines) + b"\r\n\r\n") if lengths == 1 else None
