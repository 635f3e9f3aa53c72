"""What must not be seen is hidden wherever it can stand."""

from __future__ import annotations

import pytest

from lab.facts.secrets import hide_in_command, hide_in_headers, hide_in_text, hide_in_url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://u:hush@host/a?b=c", "http://host/a?b=c"),
        ("http://hush@host/", "http://host/"),
        ("http://u:hu@sh@host/", "http://host/"),
        ("http://u:hush@host?at=a@b", "http://host?at=a@b"),
        ("http://host/@me/x", "http://host/@me/x"),
        ("http://host/?token=hush&x=1", "http://host/?token=***&x=1"),
        ("http://host/?x=1&api_key=hush#top", "http://host/?x=1&api_key=***#top"),
        ("http://host/?access-token=hush;key=hush", "http://host/?access-token=***;key=***"),
        ("http://host/?X-Amz-Signature=hush", "http://host/?X-Amz-Signature=***"),
        ("http://host/?keyword=seen&monkey=seen", "http://host/?keyword=seen&monkey=seen"),
        ("http://host/?token=", "http://host/?token="),
    ],
)
def test_a_url_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert hide_in_url(url) == shown
    assert hide_in_text(f"of {url} twice: {url} !") == f"of {shown} twice: {shown} !"


@pytest.mark.parametrize("text", ["u:hush@host", "hush@host/a", "u:hush@host:80/@me?token=hush"])
def test_what_was_to_be_a_url_hides_its_user(text: str) -> None:
    assert "hush" not in hide_in_url(text)
    assert "host" in hide_in_url(text)


@pytest.mark.parametrize(
    "name",
    ["Authorization", "cookie", "Set-Cookie", "Proxy-Authorization", "X-Api-Key", "X-Auth-Token"],
)
def test_a_header_of_a_secret_name_is_hidden(name: str) -> None:
    assert hide_in_headers([(name, "hush"), ("X-A", "seen")]) == [(name, "***"), ("X-A", "seen")]


@pytest.mark.parametrize(
    "words",
    [
        ["-a", "me:hush"],
        ["-ame:hush"],
        ["--auth", "me:hush"],
        ["--auth=me:hush"],
        ["-d", "hush"],
        ["-dhush"],
        ["--data=hush"],
        ["--json", '{"password": "hush"}'],
        ["-H", "authorization: hush"],
        ["-HCookie: a=hush"],
        ["--header=X-Api-Key:hush"],
        ["-H", "hush"],
        ["http://u:hush@h/", "http://h/?token=hush"],
    ],
    ids=" ".join,
)
def test_a_command_is_shown_without_its_secrets(words: list[str]) -> None:
    shown = " ".join(hide_in_command(["-n", "5", *words, "-c", "2"]))
    assert "hush" not in shown
    assert shown.startswith("-n 5 ") and shown.endswith(" -c 2")


def test_what_is_no_secret_is_shown() -> None:
    words = ["-d", "@body.json", "-H", "X-A: 1", "-n", "5", "http://h/?x=1"]
    assert hide_in_command(words) == words
