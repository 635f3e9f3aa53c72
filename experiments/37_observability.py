# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "aiohttp==3.14.5", "fastapi==0.163.2", "hdrhistogram==0.10.8", "httptools==0.9.0",
#   "matplotlib==3.11.2", "msgspec==0.22.0", "numpy==2.4.6",
#   "opentelemetry-exporter-otlp-proto-common==1.45.2",
#   "opentelemetry-instrumentation-fastapi==0.66b2", "opentelemetry-sdk==1.45.2",
#   "prometheus-fastapi-instrumentator==8.1.0", "psutil==7.2.2", "sentry-sdk==2.75.0",
#   "structlog==26.1.0", "tqdm==4.70.1", "uvicorn[standard]==0.54.0", "uvloop==0.23.0",
# ]
# ///
"""37: Observability takes 70 % of the throughput

Claim      OpenTelemetry, Prometheus, structlog and Sentry together take a trivial
           endpoint from 7978 to 2389 requests/s: it is 3.3 times as fast without.
Source     https://github.com/modern-python/lite-bootstrap/issues/187, September 2026:
           uvicorn, ab -k -c 16, Apple M2, spans sent to a stub. Alone, in process:
           OpenTelemetry +120 µs a request, Sentry +58, Prometheus +17, structlog 0
Expect     1 / 2389 - 1 / 7978 s is 293 µs for all four, beside 125 µs for the endpoint.
           Where a request takes 10 ms, the same 293 µs are 3 %.
           none  1 / 125 µs there
           structlog  as none: nothing logged
           structlog, 1 line  some µs for the line
           Prometheus  1 / (125 + 17 µs)
           Sentry  1 / (125 + 58 µs)
           OpenTelemetry  1 / (125 + 120 µs)
           all  0.30 of none
           all, 1 % sampled  55 µs less than all
Run        python experiments/37_observability.py
Limits     Spans and Sentry's envelopes are encoded and then dropped: sending them costs
           a thread that wants the same core. No error is reported, no trace by Sentry.
"""

import os

import sentry_sdk
import structlog
from fastapi import FastAPI
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from prometheus_fastapi_instrumentator import Instrumentator
from sentry_sdk.transport import Transport
from structlog.processors import JSONRenderer, TimeStamper

ON = os.environ.get("ON", "").split()  # the line under test: what is switched on
SHARE = float(os.environ.get("SHARE", 1))  # of the requests, that are traced

app = FastAPI()
log = structlog.get_logger()


class Dropped(Transport):
    def capture_envelope(self, envelope):
        envelope.serialize()


class Encoded(SpanExporter):
    def export(self, spans):
        encode_spans(spans).SerializeToString()


if "structlog" in ON:
    structlog.configure(processors=[TimeStamper(fmt="iso"), JSONRenderer()])
if "sentry" in ON:
    sentry_sdk.init("http://key@127.0.0.1/1", transport=Dropped)
if "prometheus" in ON:
    Instrumentator().instrument(app).expose(app)
if "otel" in ON:
    tracer = TracerProvider(sampler=ParentBased(TraceIdRatioBased(SHARE)))
    tracer.add_span_processor(BatchSpanProcessor(Encoded()))
    FastAPIInstrumentor.instrument_app(app, tracer_provider=tracer)


@app.get("/")
async def answer():
    return {"ok": True}


@app.get("/log")
async def answer_and_log():
    log.info("answered", ok=True)
    return {"ok": True}


UVICORN = "uvicorn --no-access-log --port {port} 37_observability:app"
ALL = "env ON='structlog prometheus sentry otel'"
LONGER = {"duration_s": 1.5}  # for the arms of the claim, which decide
ARMS = {
    "none": (UVICORN, "/", LONGER),
    "structlog": (f"env ON=structlog {UVICORN}", "/"),
    "structlog, 1 line": (f"env ON=structlog {UVICORN}", "/log"),
    "Prometheus": (f"env ON=prometheus {UVICORN}", "/"),
    "Sentry": (f"env ON=sentry {UVICORN}", "/"),
    "OpenTelemetry": (f"env ON=otel {UVICORN}", "/"),
    "all": (f"{ALL} {UVICORN}", "/", LONGER),
    "all, 1 % sampled": (f"{ALL} SHARE=0.01 {UVICORN}", "/"),
}

if __name__ == "__main__":
    from harness import Cause, Ratio, experiment

    def find(arms):
        cost_us = {n: arm.run.server.cpu_us_per_request for n, arm in arms.items()}
        for name in (
            "structlog, 1 line",
            "Prometheus",
            "Sentry",
            "OpenTelemetry",
            "all",
        ):
            more_us = max(0, cost_us[name] - cost_us["none"])
            enough_ms = max(0, more_us / 0.05 - cost_us["none"]) / 1000
            yield (
                f"{name}: {more_us:.0f} µs of CPU time for each request; with "
                f"{enough_ms:.1f} ms of work or more that is less than 5 %"
            )

    experiment(
        ARMS,
        shared=True,
        in_turns=True,
        connections=16,
        rounds=2,
        duration_s=0.4,
        expect={"ok": True},
        claim=Ratio("none", "all", claimed=3.34),
        findings=find,
        causes=[
            Cause(
                "Sentry",
                "OpenTelemetry",
                above=1.05,
                then="with Sentry alone the app is {faster} than with OpenTelemetry "
                "alone, which costs most",
                otherwise="with Sentry alone the app is {faster} than with "
                "OpenTelemetry alone",
            ),
            Cause(
                "all, 1 % sampled",
                "all",
                above=1.05,
                then="with 1 % of the requests traced the app is {faster}",
                otherwise="with 1 % of the requests traced the app is {faster}",
            ),
        ],
    )
