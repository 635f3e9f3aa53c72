# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "aiohttp", "fastapi", "gunicorn", "hdrhistogram", "httptools", "numpy", "psutil",
#   "tqdm", "uv", "uvicorn[standard]", "uvicorn-worker", "uvloop",
# ]
# ///
"""07: gunicorn with UvicornWorkers is 1.8 times as fast as uvicorn --workers

Claim      FastAPI on gunicorn with four UvicornWorkers serves 7891 requests/s, on
           `uvicorn --workers 4` 4360; and 2.7 times what `uvicorn --reload` does.
Source     Stack Overflow, "Architecture Flask vs FastAPI", 2020: ab -n 5000 -c 1000, a
           new connection for each request; the 2.7 (8665 to 3201) with -c 500
Expect     7891 / 4360 = 1.8 with four workers; here two, for want of four cores. Both
           run the same code for a request, so with logs alike the ratio is 1. uvicorn
           logs each request, UvicornWorker none unless it is asked to: if a line costs
           0.1 ms where a request costs 0.12, that alone is (0.12 + 0.1) / 0.12 = 1.8.
Run        python experiments/07_gunicorn_vs_uvicorn_workers.py [--then]
Not shown  A log on a terminal: here it goes to a file, which costs less.
"""

from fastapi import FastAPI

app = FastAPI()


@app.get("/")
async def root() -> dict[str, str]:
    return {"message": "hello"}


APP = "07_gunicorn_vs_uvicorn_workers:app"
UVICORN = f"uvicorn {APP} --port {{port}}"
GUNICORN = f"gunicorn {APP} -k uvicorn_worker.UvicornWorker -b 127.0.0.1:{{port}}"
QUIET, LOGGED = "--no-access-log", "--access-logfile -"  # the line under test
NEW = {"keepalive": False}
ARMS = {
    "reload + log": (f"{UVICORN} --reload", "/", NEW),
    "uvicorn + log": (UVICORN, "/", NEW),
    "uvicorn": (f"{UVICORN} {QUIET}", "/", NEW),
    "uvicorn 2 + log": (f"{UVICORN} --workers 2", "/", NEW),
    "uvicorn 2": (f"{UVICORN} --workers 2 {QUIET}", "/", NEW),
    "gunicorn 2": (f"{GUNICORN} -w 2", "/", NEW),
    "gunicorn 2 + log": (f"{GUNICORN} -w 2 {LOGGED}", "/", NEW),
}
IN_2020 = (  # but uvicorn 0.12.3: 0.11.5 cannot be built for Python 3.11
    "uv run --isolated --no-project --python 3.11 --with fastapi==0.58.1 "
    "--with gunicorn==20.0.4 --with uvicorn==0.12.3 --with httptools==0.5.0 "
    "--with uvloop==0.17.0 --with 'setuptools<81' "
)
OLD_GUNICORN = GUNICORN.replace("uvicorn_worker.", "uvicorn.workers.")
THEN = {
    "gunicorn 2": (f"{IN_2020}{OLD_GUNICORN} -w 2", "/", NEW),
    "uvicorn 2 + log": (f"{IN_2020}{UVICORN} --workers 2", "/", NEW),
}

if __name__ == "__main__":
    from harness import Cause, Ratio, experiment

    def cost(arms):
        """What the log costs, in the CPU time of a request with it and without."""
        found = []
        for server, logged, quiet in (
            ("uvicorn", "uvicorn + log", "uvicorn"),
            ("uvicorn --workers 2", "uvicorn 2 + log", "uvicorn 2"),
            ("gunicorn -w 2", "gunicorn 2 + log", "gunicorn 2"),
        ):
            with_log, without = (arms[a]["run"].server_cpu_us for a in (logged, quiet))
            found.append(
                f"{server}: {with_log:.0f} CPU µs a request with the log, "
                f"{without:.0f} without: × {with_log / without:.2f}"
            )
        return found

    experiment(
        ARMS,
        connections=1000,
        quick_connections=200,
        expect={"message": "hello"},
        duration_s=0.6,
        then=THEN,
        claim=Ratio("gunicorn 2", "uvicorn 2 + log", "> 1.2", "< 1.1"),
        findings=cost,
        causes=[
            Cause(
                "gunicorn 2",
                "uvicorn 2",
                when="inside 0.8 to 1.25",
                then="with no log in either, gunicorn is {ratio} of uvicorn: what was "
                "compared was a log with none",
                otherwise="with no log in either, gunicorn is {ratio} of uvicorn, "
                "which is not shown to be the same",
            ),
            Cause(
                "gunicorn 2 + log",
                "uvicorn 2 + log",
                when="inside 0.8 to 1.25",
                then="with a log in both, it is {ratio}",
                otherwise="with a log in both, it is {ratio}, not shown to be the same",
            ),
            Cause(
                "reload + log",
                "uvicorn + log",
                when="inside 0.8 to 1.25",
                then="--reload alone makes one process {ratio}: it is no part of it",
                otherwise="--reload alone makes one process {ratio}",
            ),
            Cause(
                "gunicorn 2",
                "reload + log",
                when="> 1.1",
                then="the claim's 2.7 for four workers against --reload is {ratio} "
                "here, with two: their number, and the log",
                otherwise="the claim's 2.7 for four workers against --reload is "
                "{ratio} here, with two",
            ),
        ],
    )
