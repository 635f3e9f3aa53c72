# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "aiohttp==3.14.5", "fastapi==0.163.2", "gunicorn==27.0.1", "hdrhistogram==0.10.8",
#   "httptools==0.9.0", "matplotlib==3.11.2", "msgspec==0.22.0", "numpy==2.4.6",
#   "psutil==7.2.2", "tqdm==4.70.1", "uv==0.13.8", "uvicorn[standard]==0.54.0",
#   "uvicorn-worker==0.4.0", "uvloop==0.23.0",
# ]
# ///
"""07: gunicorn with UvicornWorkers is 1.8 times as fast as uvicorn --workers

Claim      FastAPI on gunicorn with four UvicornWorkers serves 7891 requests/s, on
           `uvicorn --workers 4` 4360. It is 2.7 times as fast as `uvicorn --reload`.
Source     Stack Overflow, "Architecture Flask vs FastAPI", 2020: ab -n 5000 -c 1000, a
           new connection for each request; the 2.7 (8665 / 3201) with -c 500
Expect     7891 / 4360 = 1.8 with four workers; here two. Both run the same code for a
           request. But uvicorn logs each request and UvicornWorker does not, unless it
           is asked to. If a line of log costs 0.1 ms where a request costs 0.12 ms,
           that alone is (0.12 + 0.1) / 0.12 = 1.8.
           reload + log      as uvicorn + log
           uvicorn + log     half of uvicorn 2 + log, or more
           uvicorn           1.8 times uvicorn + log
           uvicorn 2 + log   the slower one of the claim
           uvicorn 2         as gunicorn 2
           gunicorn 2        1.8 times uvicorn 2 + log
           gunicorn 2 + log  as uvicorn 2 + log
Run        python experiments/07_gunicorn_vs_uvicorn_workers.py [--then]
Limits     The log goes to a file here. On a terminal it costs more.
"""

from fastapi import FastAPI

app = FastAPI()


@app.get("/")
async def root() -> dict[str, str]:
    return {"message": "hello"}


APP = "07_gunicorn_vs_uvicorn_workers:app"
UVICORN = f"uvicorn {APP} --port {{port}}"
GUNICORN = f"gunicorn {APP} -k uvicorn_worker.UvicornWorker -b {{host}}:{{port}}"
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

    def cost_of_the_log(arms):
        """The CPU time of a request with the log and without."""
        found = []
        for server, logged, quiet in (
            ("uvicorn", "uvicorn + log", "uvicorn"),
            ("uvicorn --workers 2", "uvicorn 2 + log", "uvicorn 2"),
            ("gunicorn -w 2", "gunicorn 2 + log", "gunicorn 2"),
        ):
            with_log, without = (arms[a].run.server_cpu_us for a in (logged, quiet))
            found.append(
                f"{server}: {with_log:.0f} CPU µs a request with the log, "
                f"{without:.0f} without"
            )
        return found

    experiment(
        ARMS,
        connections=1000,
        quick_connections=200,
        expect={"message": "hello"},
        duration_s=0.6,
        then=THEN,
        claim=Ratio("gunicorn 2", "uvicorn 2 + log", claimed=7891 / 4360),
        findings=cost_of_the_log,
        causes=[
            Cause(
                "gunicorn 2",
                "uvicorn 2",
                above=0.8,
                below=1.25,
                then="without a log in either they are as fast ({ratio}): the "
                "original test compared a server that logs with one that does not",
                otherwise="without a log in either, gunicorn is {faster}",
                another_reason=True,
            ),
            Cause(
                "gunicorn 2 + log",
                "uvicorn 2 + log",
                above=0.8,
                below=1.25,
                then="with a log in both they are as fast, too ({ratio})",
                otherwise="with a log in both, gunicorn is {faster}",
            ),
            Cause(
                "reload + log",
                "uvicorn + log",
                above=0.8,
                below=1.25,
                then="--reload makes no difference ({ratio})",
                otherwise="with --reload one process is {faster}",
            ),
            Cause(
                "gunicorn 2",
                "reload + log",
                above=1.1,
                then="the claim's 2.7× against --reload is {ratio} here: it comes "
                "from the number of workers and the log",
                otherwise="the claim's 2.7× against --reload is {ratio} here, with "
                "two workers",
            ),
        ],
    )
