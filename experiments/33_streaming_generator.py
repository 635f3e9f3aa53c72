# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "aiohttp==3.14.5", "fastapi==0.163.2", "flask[async]==3.1.3", "gunicorn==27.0.1",
#   "hdrhistogram==0.10.8", "httptools==0.9.0", "matplotlib==3.11.2", "msgspec==0.22.0",
#   "numpy==2.4.6", "psutil==7.2.2", "tqdm==4.70.1", "uv==0.13.8",
#   "uvicorn[standard]==0.54.0", "uvloop==0.23.0",
# ]
# ///
"""33: FastAPI's StreamingResponse is slow

Claim      A StreamingResponse over a plain generator sends 35.6 kB/s where Flask sends
           419 kB/s: Flask is 11.8 times as fast.
Source     https://github.com/fastapi/fastapi/issues/2302, November 2020: curl, one
           connection, an endless stream of "test string" lines; Flask on its own
           development server, FastAPI on uvicorn
Expect     35.6 kB/s are 390 µs for a piece of 13 bytes, Flask's 419 kB/s 31 µs. As a
           plain generator may block, Starlette asks a thread for each piece: a hop
           there and back. An async one is asked on the event loop, and Flask's in the
           thread that it is in already. A hop costs the same for a piece of any size.
           Flask  1 / (1000 x 31 µs) = 32/s
           Flask, gthread  32/s: no hop either
           generator  1 / (1000 x 390 µs) = 2.6/s
           async generator  as Flask: no hop
           Flask, 65 kB  20 copies of 65 kB
           generator, 65 kB  20 x 360 µs = 7 ms more than Flask
           async generator, 65 kB  as Flask: no hop
Run        python experiments/33_streaming_generator.py [--then]
Limits     Generators that block, such as on a file or a database, need the thread: an
           async one would hold up every other request (03). Several streams at once.
"""

from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from flask import Flask, Response

LINE, LAST = b"test string\r\n", b"that is all\r\n"

app = FastAPI()
flask_app = Flask(__name__)


def generate(pieces: int, lines: int):  # the lines under test: a plain generator
    for _ in range(pieces):
        yield LINE * lines
    yield LAST


async def generate_on_loop(pieces: int, lines: int):  # against an async one
    for _ in range(pieces):
        yield LINE * lines
    yield LAST


@app.get("/plain/{pieces}/{lines}")
async def stream(pieces: int, lines: int):
    return StreamingResponse(generate(pieces, lines), media_type="text/plain")


@app.get("/async/{pieces}/{lines}")
async def stream_on_loop(pieces: int, lines: int):
    return StreamingResponse(generate_on_loop(pieces, lines), media_type="text/plain")


@flask_app.route("/plain/<int:pieces>/<int:lines>")
def flask_stream(pieces: int, lines: int):
    return Response(generate(pieces, lines), mimetype="text/plain")


PIECES = 1000
SMALL, LARGE = f"/{PIECES}/1", "/20/5000"  # pieces of 13 and of 65,000 bytes
SLOW = {"requests": 10}  # and to the end of the last, as there are so few
UVICORN = "uvicorn --no-access-log --port {port} 33_streaming_generator:app"
OWN = "flask --app 33_streaming_generator:flask_app run --port {port}"
GTHREAD = "gunicorn --threads 4 -b {host}:{port} 33_streaming_generator:flask_app"
ARMS = {
    "Flask": (OWN, f"/plain{SMALL}"),
    "Flask, gthread": (GTHREAD, f"/plain{SMALL}"),
    "generator": (UVICORN, f"/plain{SMALL}", SLOW),
    "async generator": (UVICORN, f"/async{SMALL}"),
    "Flask, 65 kB": (GTHREAD, f"/plain{LARGE}"),
    "generator, 65 kB": (UVICORN, f"/plain{LARGE}"),
    "async generator, 65 kB": (UVICORN, f"/async{LARGE}"),
}
IN_2020 = (  # but fastapi of 2022, whose streams run on Python 3.11; today's uvicorn
    "uv run --isolated --no-project --python 3.11 --with fastapi==0.71.0 "
    "--with 'uvicorn[standard]' --with flask==1.1.2 --with 'werkzeug<2' "
    "--with 'jinja2<3.1' --with 'markupsafe<2.1' --with 'itsdangerous<2.1' "
)
FLASK_1 = "env FLASK_APP=33_streaming_generator:flask_app flask run --port {port}"
THEN = {
    "Flask": (IN_2020 + FLASK_1, f"/plain{SMALL}"),
    "generator": (IN_2020 + UVICORN, f"/plain{SMALL}", SLOW),
    "async generator": (IN_2020 + UVICORN, f"/async{SMALL}"),
}

if __name__ == "__main__":
    from harness import Cause, Ratio, experiment

    def find(arms):
        piece_us = {n: 1e6 / arm.run.throughput / PIECES for n, arm in arms.items()}
        hop_us = piece_us["generator"] - piece_us["async generator"]
        yield (
            f"a piece of 13 bytes takes {piece_us['generator']:.0f} µs from a plain "
            f"generator and {piece_us['async generator']:.0f} µs from an async one: "
            f"{hop_us:.0f} µs for the hop to a thread and back"
        )
        yield f"it is less than 5 % of a piece that takes {hop_us / 50:.1f} ms to make"

    experiment(
        ARMS,
        shared=True,
        connections=1,
        rounds=2,
        duration_s=0.6,
        expect=LAST.decode().strip(),
        then=THEN,
        findings=find,
        claim=Ratio("Flask", "generator", claimed=11.8),
        causes=[
            Cause(
                "async generator",
                "generator",
                above=3,
                then="the same generator as an async one, on the same FastAPI, is "
                "{faster}: it is the hop to a thread for each piece",
                otherwise="the same generator as an async one is only {faster}",
                another_reason=True,
            ),
            Cause(
                "generator, 65 kB",
                "Flask, 65 kB",
                above=0.5,
                then="with pieces of 65 kB the plain generator is {faster} than "
                "Flask on gunicorn: few hops cost little",
                otherwise="with pieces of 65 kB the plain generator is still {faster} "
                "than Flask on gunicorn",
            ),
        ],
    )
