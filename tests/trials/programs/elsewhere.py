"""Runs a script as if this were not Linux: `python elsewhere.py SCRIPT [OPTION …]`."""

import os
import pathlib
import runpy
import socket
import sys

for module, name in (
    (os, "sched_getaffinity"),
    (os, "sched_setaffinity"),
    (socket, "AF_NETLINK"),
):
    if hasattr(module, name):
        delattr(module, name)

read_text = pathlib.Path.read_text


def refuse_proc(path: pathlib.Path) -> None:
    if path.parts[:2] == ("/", "proc"):
        raise FileNotFoundError(path)


def read_text_elsewhere(path: pathlib.Path, *arguments: object, **options: object) -> str:
    refuse_proc(path)
    return read_text(path, *arguments, **options)


pathlib.Path.read_text = read_text_elsewhere
sys.argv = sys.argv[1:]
sys.path.insert(0, str(pathlib.Path(sys.argv[0]).parent))
runpy.run_path(sys.argv[0], run_name="__main__")
