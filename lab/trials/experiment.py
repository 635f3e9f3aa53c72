"""An experiment: from what a script says of it to its verdict, and its exit status."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lab.facts.errors import CannotRun, Unreadable
from lab.facts.form import write
from lab.facts.ratio import Arms
from lab.facts.records import Topic
from lab.facts.results import THEN, Arm, Result
from lab.facts.verdict import Cause, Outcome, Ratio, Word
from lab.readers.files import read
from lab.reports.plot import plot
from lab.reports.result import report_result
from lab.reports.terminal import Parser, show
from lab.trials.arms import Setup
from lab.trials.dials import Answers, Dials, SayOfArms
from lab.trials.options import Options, make_parser, parse_options
from lab.trials.script import Script
from lab.trials.servers import HOST, PATH, Service, run_services
from lab.trials.study import Study


def experiment(
    arms: Mapping[str, tuple[Any, ...]],
    *,
    claim: Ratio | Sequence[Ratio] | Outcome | Answers,
    connections: int = 1,
    quick_connections: int = 0,
    expect: object = "",
    duration_s: float = 1.0,
    requests: int | None = None,
    rounds: int = 3,
    quick_share: float = 0.25,
    causes: Sequence[Cause | SayOfArms] = (),
    probes: Mapping[str, tuple[Any, ...]] | None = None,
    then: Mapping[str, tuple[Any, ...]] | None = None,
    subject: Sequence[Topic | str] = (),
    needs: Sequence[str] | Mapping[str, str] = (),
    shared: bool = False,
    in_turns: bool = False,
    services: Mapping[str, Service] | None = None,
    ask_after: str = "",
    log_counts: Mapping[str, str] | None = None,
    shares: Sequence[float] = (),
    columns: Mapping[str, Callable[[Arm], str]] | None = None,
    findings: Callable[[Arms], Sequence[str]] = lambda arms: (),
) -> None:
    """Run the experiment of the script that calls this, print its verdict, and exit.

    `arms` maps a name to (command, path) or (command, path, more): see Setup. What the others
    set is said at Dials.
    """
    main = sys.modules["__main__"]
    script = Script.read(Path(str(main.__file__)).resolve(), main.__doc__ or "")
    dials = Dials(
        arms=_set_up(arms),
        claim=claim,
        connections=connections,
        quick_connections=quick_connections,
        expect=expect,
        duration_s=duration_s,
        requests=requests,
        rounds=rounds,
        quick_share=quick_share,
        causes=causes,
        probes=_set_up(probes or {}),
        then=_set_up(then or {}, THEN),
        subject=tuple(map(Topic, subject)),
        needs=needs,
        shared=shared,
        in_turns=in_turns,
        services=services or {},
        ask_after=ask_after,
        log_counts=log_counts or {},
        shares=shares,
        columns=columns or {},
        findings=findings,
    )
    sys.exit(_run_script(script, dials))


def _set_up(arms: Mapping[str, tuple[Any, ...]], era: str = "") -> dict[str, Setup]:
    return {name + era: Setup(*arm) for name, arm in arms.items()}


def _run_script(script: Script, dials: Dials) -> int:
    """Do what the command line asks for; returns the exit status."""
    name = script.path.name
    parser = make_parser(name, script.title)
    options = parse_options(parser)
    _check_options(parser, options, dials)
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) != signal.SIG_IGN:  # as nohup and `&` leave it
            signal.signal(number, signal.default_int_handler)
    try:
        if options.list:
            listed = dials.everything.items()
            show("\n".join(f"{n}\n    $ {arm.command}\n    {arm.path}" for n, arm in listed))
            return 0
        _check_programs(dials.needs)
        if options.serve:
            return _serve(dials.everything[options.serve], dials.services, options.port, script)
        if options.then and not dials.then:
            print(f"{name}: --then: nothing here runs on old versions", file=sys.stderr)
        result = Study(script, dials, options).run()
        _finish(result, options, script.path)
    except KeyboardInterrupt:
        print(f"{name}: interrupted; its servers are stopped", file=sys.stderr)
        return 130
    except (CannotRun, OSError, Unreadable) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1
    return 3 if result.verdict == Word.INCONCLUSIVE else 0


def _check_programs(needs: Sequence[str] | Mapping[str, str]) -> None:
    """Raises CannotRun for a program that is not there."""
    packages = needs if isinstance(needs, Mapping) else {}
    for program in needs:
        if shutil.which(program, path=PATH) is None:
            package = packages.get(program, program)
            raise CannotRun(f"no {program} here: install it, as with apt install {package}")


def _check_options(parser: Parser, options: Options, dials: Dials) -> None:
    """End with a line where an option does not fit this experiment."""
    if options.serve is not None and options.serve not in dials.everything:
        parser.error(f"--serve {options.serve!r}: the arms are {_list_names(dials.everything)}")
    if options.against_itself is not None:
        if options.save:
            parser.error("--aa is of no claim: leave out --save")
        if options.against_itself not in ("", *dials.arms) or not dials.arms:
            known = _list_names(dials.arms) or "none: it loads nothing"
            parser.error(f"--aa {options.against_itself!r}: the arms are {known}")


def _list_names(names: Mapping[str, Setup]) -> str:
    return ", ".join(map(repr, names))


def _serve(setup: Setup, services: Mapping[str, Service], port: int, script: Script) -> int:
    """Run the server of an arm in the foreground, with what it needs."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError) as error:
            why = getattr(error, "strerror", None) or "there is none"
            raise CannotRun(f"port {port}: {why}: choose another with --port") from error
    command = setup.command.format(port=port, host=HOST)
    print(f"http://{HOST}:{port}{setup.path}\n$ {command}", flush=True)
    os.environ["PATH"] = PATH
    os.chdir(script.path.parent)
    argv = shlex.split(command)
    if not services:
        os.execvp(argv[0], argv)
    with run_services(services, script.path.parent) as environment:
        return subprocess.run(argv, env={**os.environ, **environment}, check=False).returncode


def _finish(result: Result, options: Options, script: Path) -> None:
    """Record a result before it is shown: where the one cannot be done, the other still is.

    Raises OSError.
    """
    saved, fault = "", None
    if options.save:
        try:
            saved = _save(result, script)
        except OSError as error:
            fault = error
    show(report_result(result, options.markdown))
    if saved:
        print(f"recorded in {saved}", file=sys.stderr)
    if fault:
        raise fault
    if options.plot:
        plot([result], options.plot)


def _save(result: Result, script: Path) -> str:
    """Record a result, and return its file's name; the one before is kept in older/."""
    results = script.parent.parent / "results"
    path = (results if results.is_dir() else script.parent) / f"{script.stem}.json"
    if path.exists():
        before = read(path)
        stamp = re.sub(r"\W", "", before.started)
        (path.parent / "older").mkdir(exist_ok=True)
        path.rename(path.parent / "older" / f"{script.stem}-{stamp}.json")
    write(result, path)
    return path.name
