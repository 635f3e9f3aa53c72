"""Turn recorded runs into text: one run as a report, several as a comparison.

    python summarize.py run.json               a report
    python summarize.py a.json b.csv page.md   one table, shared histogram edges, the ratios
    python summarize.py old.json new.json      two results of one experiment: what changed
    python loadgen.py -o - URL | python summarize.py
    python summarize.py --merge 1.json 2.json --percentiles 50,99.9 --hgrm both.hgrm
    python summarize.py --readme README.md --html docs/index.html results

A file is a record of ours or what another load generator wrote, known by its content: hey
(text, csv), ab (text, -g, -e), wrk, wrk2, vegeta (ndjson, csv, reports), oha (json, csv), k6
(json), Locust (_stats.csv), autocannon and bombardier (json), HdrHistogram (.hgrm, .hlog); or
a page that quotes the texts among them.

As a library: ``from summarize import Run, read, report, compare``. What cannot be read raises
`Unreadable`, whose text is one line.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from lab.facts.errors import Unreadable
from lab.facts.foreign import Foreign
from lab.facts.histogram import PERCENTILES, Histogram
from lab.facts.records import Run
from lab.facts.results import Result
from lab.facts.text import count_of, harmless
from lab.readers.files import read, read_all
from lab.reports.chart import list_percentiles
from lab.reports.report import report
from lab.reports.several import compare
from lab.reports.terminal import Parser, show

__all__ = ["Foreign", "Histogram", "Result", "Run", "Unreadable", "compare", "read", "report"]


def parse_picture(name: str) -> Path:
    """The path of a picture to draw. Raises ArgumentTypeError for another kind of file."""
    from lab.reports.plot import picture

    return picture(name)


def parse_percentiles(text: str) -> list[float]:
    """Percentiles as the command line has them, "50,99.9"."""
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        found = [math.nan]
    if not all(0 < rank < 100 for rank in found):
        raise argparse.ArgumentTypeError(f"{text!r} must be percentiles, as 50,99.9")
    return found


def make_parser() -> Parser:
    parser = Parser(
        prog="summarize.py",
        usage="python summarize.py [options] [FILE …]",
        description="Turn recorded runs into text: one as a report, several as a comparison.",
        epilog="""FILE is a record, another load generator's output, or a page that quotes some.
Exit status: 0 written, 1 unreadable or stale, 2 usage.""",
    )
    add = parser.add_argument
    add("files", nargs="*", metavar="FILE", help="what to read; - or nothing is standard input")
    add("--markdown", action="store_true", help="print Markdown to paste")
    add(
        "--percentiles",
        metavar="P,P",
        type=parse_percentiles,
        default=PERCENTILES,
        help="show these, such as 50,99.9",
    )
    add("--baseline", metavar="NAME", default="", help="take ratios to this run (the first)")
    add("--merge", action="store_true", help="add all files up to one run")
    add("--plot", metavar="FILE", type=parse_picture, help="also draw an .svg or .png")
    add("--all", action="store_true", help="with --plot: every arm of a result")
    add("--hgrm", metavar="FILE", type=Path, help="also write all percentiles of a run")
    add("--across-machines", action="store_true", help="compare runs of different machines")
    add("--readme", metavar="PAGE", type=Path, help="update README from a folder of records")
    add("--check", action="store_true", help="with --readme: only check whether it is up to date")
    add("--html", metavar="PAGE", type=Path, help="write the page of all claims in such a folder")
    return parser


def read_results(folder: Path) -> list[Result]:
    """All results recorded in a folder. Raises Unreadable where there are none."""
    results = []
    for path in sorted(folder.glob("[0-9]*.json")):
        result = read(path)
        if not isinstance(result, Result):
            raise Unreadable(f"{path}: the record of one run; expected that of an experiment")
        results.append(result)
    if not results:
        raise Unreadable(f"{folder}: no recorded results; make one with an experiment's --save")
    return results


def publish(options: argparse.Namespace) -> str:
    """Write what README.md and the page of claims show of a folder of records, or check it."""
    from lab.reports.claims import is_stale, write_readme

    folder = Path(options.files[0])
    results = read_results(folder)
    said = f"{count_of(len(results), 'record')} of {folder}"
    if options.check:
        if is_stale(options.readme, results):
            again = f"python summarize.py --readme {options.readme} {folder}"
            raise Unreadable(f"{options.readme}: stale: run `{again}`")
        return f"{options.readme}: up to date with {said}"
    if options.readme:
        write_readme(options.readme, results)
    if options.html:
        from lab.reports.page import write_page

        write_page(results, folder, options.html)
    pages = [str(page) for page in (options.readme, options.html) if page]
    return f"{' and '.join(pages)}: written from {said}"


def write_texts(records: Sequence[Run | Result | Foreign], options: argparse.Namespace) -> str:
    """All records as text, those that can be compared beside each other."""
    runs = [record for record in records if not isinstance(record, Result)]
    results = [record for record in records if isinstance(record, Result)]
    form = options.markdown, options.percentiles
    names = {result.name for result in results}
    if not runs and len(names) == 1 and len(results) == 2:
        from lab.reports.changes import report_changes

        return report_changes(results[0], results[1], options.markdown)
    texts = [compare(runs, *form, options.baseline)] if len(runs) > 1 else []
    for record in records:
        if isinstance(record, Result):
            from lab.reports.result import report_result

            texts.append(report_result(record, options.markdown))
        elif len(runs) == 1:
            texts.append(report(record, *form))
    return "\n\n".join(texts)


def summarize(parser: Parser, options: argparse.Namespace) -> None:
    """Read the files of a command line and write what it asks for."""
    files = [None if name == "-" else Path(name) for name in options.files or ["-"]]
    records = [record for file in files for record in read_all(file)]
    if options.merge:
        from lab.facts.merging import merge_records

        records = [merge_records(records)]
    runs = [record for record in records if not isinstance(record, Result)]
    if len(runs) > 1 and not options.across_machines:
        from lab.reports.changes import check_same_machine

        check_same_machine([run for run in runs if isinstance(run, Run)])
    if options.baseline and options.baseline not in [run.name for run in runs]:
        parser.error(f"--baseline: no run is named {options.baseline!r}")
    if options.hgrm and len(runs) != 1:
        parser.error(f"--hgrm is of one run, not of {len(runs)}: see --merge")
    if options.hgrm:
        table = list_percentiles(runs[0].name, runs[0].histogram)
        options.hgrm.write_text(table, encoding="utf-8")
    show(write_texts(records, options))
    if options.plot:
        from lab.reports.plot import plot  # takes longer than all the rest

        plot(records, options.plot, options.all, [Path(name).stem for name in options.files])


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns its exit status: 0, 1 unreadable or stale, 2 usage."""
    parser = make_parser()
    options = parser.parse_args(argv)
    if options.check and not options.readme:
        parser.error("--check goes with --readme")
    is_publishing = bool(options.readme or options.html)
    if is_publishing and len(options.files) != 1:
        parser.error("--readme and --html take one folder of records")
    if not options.files and sys.stdin.isatty():
        parser.error("name a FILE that loadgen.py -o wrote, or pipe one in")
    try:
        if is_publishing:
            show(publish(options))
        else:
            summarize(parser, options)
    except (Unreadable, OSError) as error:
        print(f"summarize.py: {harmless(str(error))}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
