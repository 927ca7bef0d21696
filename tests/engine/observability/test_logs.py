"""A real API and a real worker: their logs are JSON, without secrets, and connected by one id."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from engine.observability.stage import (
    DATABASE_PASSWORD,
    MISTAKE,
    MODEL_KEY,
    SECRET,
    Model,
    Service,
    call,
    eventually,
    free_port,
    model,
    postgres,
)

from support import Project, run

pytestmark = pytest.mark.xdist_group("observability")

CONTRACT = ["timestamp", "level", "event", "logger", "service", "environment", "version"]
TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLS = {
    "success": ("/questions", "GET", 200, "/questions"),
    "not found": ("/questions/999", "GET", 404, "/questions/{question_id}"),
    "no route": ("/nothing/999", "GET", 404, "unmatched"),
    "not allowed": ("/questions/1", "DELETE", 405, "/questions/{question_id}"),
    "not valid": ("/questions/one", "GET", 422, "/questions/{question_id}"),
    "exception": ("/broken/5", "GET", 500, "/broken/{number}"),
}
ANSWERED = ("What now?", "429", "500")
FAILED = ("garbage in", "slow, please")


@dataclass
class Story:
    """The calls, their answers and the logs.

    Attributes:
        answers: status, headers and body of each call, by its name or its question.
        metrics: the metrics of each service before it was stopped.
        idle: the metrics of the API while no worker ran.
    """

    services: dict[str, Service]
    answers: dict[str, tuple[int, dict[str, str], str]]
    metrics: dict[str, str]
    idle: str
    asked: list[tuple[str, dict[str, str]]]

    @property
    def lines(self) -> list[dict[str, Any]]:
        """All lines of all services."""
        return [line for service in self.services.values() for line in service.lines]

    def of(self, request_id: str) -> list[dict[str, Any]]:
        """The lines of one request, in the order of time."""
        mine = [line for line in self.lines if line["request_id"] == request_id]
        return sorted(mine, key=lambda line: str(line["timestamp"]))


@pytest.fixture(scope="module")
def story(default_project: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """A default project with a mistake in its API, and calls with every possible outcome."""
    with ExitStack() as stack:
        # If root runs the tests, PostgreSQL runs as another user, who cannot read pytest's folder.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="observability-")))
        folder.chmod(0o755)
        default_project.git("clone", "--quiet", str(default_project.path), str(folder / "shop"))
        project = Project(folder / "shop")
        project.green("-s", "setup")
        place = "services/backend/src/backend/app.py"
        project.replace(place, "\n    return app\n", MISTAKE)
        url = stack.enter_context(postgres(project, folder / "data"))
        double = stack.enter_context(model())
        yield _played(project, folder, url, double, stack)


def _played(project: Project, folder: Path, url: str, double: Model, stack: ExitStack) -> Story:
    services: dict[str, Service] = {}

    def start(module: str, **variables: str) -> Service:
        service = Service(project, folder, module, DATABASE_URL=url, **variables)
        stack.callback(service.popen.wait)
        stack.callback(service.popen.kill)
        services[service.name] = service
        return service

    ports = {name: str(free_port()) for name in ("api", "backend", "agents")}
    backend = start("backend", PORT=ports["api"], INTERNAL_PORT=ports["backend"])
    inner = {name: f"http://127.0.0.1:{ports[name]}" for name in ("backend", "agents")}
    base = f"http://127.0.0.1:{ports['api']}"
    eventually("not migrated", lambda: call(f"{inner['backend']}/readyz")[0] == 503)
    assert start("runtime.migrate").popen.wait(60) == 0, services["runtime"].out
    eventually("the API", lambda: call(f"{inner['backend']}/readyz")[0] == 200)
    answers = {
        name: call(base + path, None, method, x_request_id=f"call-{number}")
        for number, (name, (path, method, *_)) in enumerate(CALLS.items())
    }
    for number, question in enumerate((*ANSWERED, *FAILED)):
        traceparent = f"00-{TRACE}-b7ad6b7169203331-01"
        headers = {"x_request_id": f"question-{number}", "traceparent": traceparent}
        answers[question] = call(f"{base}/questions", {"text": question}, **headers)
    idle = call(f"{inner['backend']}/metrics")[2]
    agents = start(
        "agents",
        INTERNAL_PORT=ports["agents"],
        LLM_URL=double.url,
        LLM_MODEL="wise",
        LLM_API_KEY=MODEL_KEY,
        LLM_TIMEOUT="0.5",
    )
    eventually("the worker", lambda: call(f"{inner['agents']}/readyz")[0] == 200)
    done = len(ANSWERED) + len(FAILED) - 1  # the slow question is tried again for a minute
    eventually(
        "the ends of the tasks",
        lambda: sum('"outcome":"succeeded"' in line and '"answer_question"' in line
                    or '"outcome":"failed"' in line for line in agents.out.splitlines()) >= done
        and '"outcome":"timeout"' in agents.out and '"outcome":"retried"' in agents.out,
    )  # fmt: skip
    metrics = {name: call(f"{address}/metrics")[2] for name, address in inner.items()}
    assert agents.stop() == 0 and backend.stop() == 0
    return Story(services, answers, metrics, idle, double.asked)


def test_every_line_is_json_with_all_fields_and_stderr_is_empty(story: Story) -> None:
    assert {name for name in story.services} == {"backend", "runtime", "agents"}
    for name, service in story.services.items():
        assert service.err == "", name
        assert len(service.lines) >= 1, name
        for line in service.lines:
            assert list(line)[:8] == [*CONTRACT, "request_id"], line
            assert (line["service"], line["environment"], line["version"]) == (
                name,
                "staging",
                "1.2.3",
            )
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line["timestamp"])
            assert line["level"] in ("info", "warning", "error")
    loggers = {line["logger"] for line in story.lines}
    assert {"uvicorn.error", "runtime.web", "runtime.migrate", "runtime.tasks"} <= loggers
    assert {"runtime.genai", "runtime.queue", "agents.worker"} <= loggers


def test_logs_and_metrics_contain_no_secret(story: Story) -> None:
    everything = json.dumps([story.metrics, story.idle, story.answers])
    everything += "".join(service.out + service.err for service in story.services.values())
    for secret in (SECRET, MODEL_KEY, DATABASE_PASSWORD):
        assert secret not in everything
    assert {headers["authorization"] for _, headers in story.asked} == {f"Bearer {MODEL_KEY}"}


@pytest.mark.parametrize("name", CALLS)
def test_each_request_is_one_line_with_its_route_and_outcome(story: Story, name: str) -> None:
    path, method, status, route = CALLS[name]
    answered, headers, _ = story.answers[name]
    assert answered == status
    assert headers["x-request-id"] == f"call-{list(CALLS).index(name)}"
    (line,) = story.of(headers["x-request-id"])
    assert (line["event"], line["method"], line["route"]) == ("request", method, route)
    assert (line["path"], line["status"]) == (path, status)
    assert line["level"] == ("error" if status == 500 else "info")
    assert line["duration_seconds"] > 0
    series = f'http_requests_total{{method="{method}",route="{route}",status="{status}"}} '
    assert series in story.metrics["backend"]


def test_an_exception_is_logged_with_its_place_and_without_variables(story: Story) -> None:
    (line,) = story.of(story.answers["exception"][1]["x-request-id"])
    assert line["exception"].startswith("Traceback (most recent call last):")
    assert "app.py" in line["exception"] and ", in broken\n" in line["exception"]
    assert line["exception"].endswith("RuntimeError: cannot log in with 27 characters")


@pytest.mark.parametrize("question", (*ANSWERED, *FAILED))
def test_api_agent_and_model_call_have_the_same_request_id(story: Story, question: str) -> None:
    status, headers, _ = story.answers[question]
    request_id = headers["x-request-id"]
    assert (status, request_id) == (201, f"question-{(*ANSWERED, *FAILED).index(question)}")
    lines = story.of(request_id)
    assert {line["service"] for line in lines} == {"backend", "agents"}
    assert {line["trace_id"] for line in lines} == {TRACE}
    assert [line["event"] for line in lines if line["service"] == "backend"] == ["request"]
    tasks = [line for line in lines if line["event"] == "task"]
    calls = [line for line in lines if line["event"] == "llm call"]
    at_model = [headers for asked, headers in story.asked if asked == question]
    assert len(tasks) == len(calls) == len(at_model)
    for call_line, seen in zip(calls, at_model, strict=True):
        assert seen["x-request-id"] == request_id
        assert seen["traceparent"] == f"00-{TRACE}-{call_line['span_id']}-01"
    outcomes = [(task["outcome"], call["outcome"]) for task, call in zip(tasks, calls, strict=True)]
    assert (
        outcomes
        == {
            "What now?": [("succeeded", "succeeded")],
            "429": [("retried", "429"), ("succeeded", "succeeded")],
            "500": [("retried", "500"), ("succeeded", "succeeded")],
            "garbage in": [("failed", "invalid_answer")],
            "slow, please": [("retried", "timeout")] * len(tasks),
        }[question]
    )


def test_the_metrics_agree_with_the_logs(story: Story) -> None:
    told = story.metrics["agents"]
    labels = (
        'gen_ai_operation_name="chat",gen_ai_provider_name="openai",gen_ai_request_model="wise"'
    )
    for error in ("", "429", "500", "timeout", "invalid_answer"):
        name = "gen_ai_client_operation_duration_seconds_count"
        assert f'{name}{{error_type="{error}",{labels}}} ' in told
    for kind, tokens in (("input", 21), ("output", 27)):
        name = f'gen_ai_client_token_usage_sum{{{labels},gen_ai_token_type="{kind}"}} '
        assert f"{name}{tokens}.0\n" in told
    for outcome, count in (("succeeded", 3), ("failed", 1)):
        assert f'tasks_total{{outcome="{outcome}",task="answer_question"}} {count}.0\n' in told
    assert 'task_queue_wait_seconds_count{queue="agents",task="answer_question"} ' in told
    for name, metrics in story.metrics.items():
        assert f'build_info{{revision="abc",service="{name}",version="1.2.3"}} 1.0\n' in metrics
        assert "process_cpu_seconds_total " in metrics and "database_connections{" in metrics


def test_the_depth_of_the_queue_is_reported_while_no_worker_runs(story: Story) -> None:
    count = len(ANSWERED) + len(FAILED)
    assert f'task_queue_depth{{queue="agents",state="todo"}} {count}.0\n' in story.idle
    assert 'task_queue_depth{queue="agents",state="doing"} 0.0\n' in story.idle
    (oldest,) = re.findall(r'task_queue_oldest_seconds{queue="agents"} (\S+)', story.idle)
    assert 0 < float(oldest) < 60
    assert "task_queue_depth{" not in story.metrics["agents"]


def test_a_service_that_cannot_start_logs_it_as_json(
    default_project: Project, story: Story, tmp_path: Path
) -> None:
    python = story.services["backend"].python
    for module, variables, said in (
        ("backend", {"BACKEND_TYPO": SECRET}, "BACKEND_TYPO"),
        ("agents", {"AGENTS_DATABASE_URL": "postgresql://a:b@127.0.0.1:1/x"}, "AGENTS_LLM_URL"),
        ("runtime.migrate", {"RUNTIME_DATABASE_URL": "postgresql://a:b@127.0.0.1:1/x"}, "reached"),
    ):
        name = module.partition(".")[0]
        environment = {f"{name.upper()}_ENVIRONMENT": "production", **variables}
        done = run(python, "-m", module, cwd=tmp_path, env=environment)
        assert done.returncode == 1
        (line,) = (json.loads(text) for text in done.stdout.splitlines())
        assert (line["level"], line["service"], line["environment"]) == (
            "critical",
            name,
            "production",
        )
        assert said in line["event"] and SECRET not in done.stdout


def test_the_metrics_can_be_listed_as_json(story: Story) -> None:
    python = story.services["backend"].python
    done = run(python, "-m", "runtime.metrics", cwd=python.parent)
    listed = {each["name"]: each for each in json.loads(done.stdout)}
    told = "".join([*story.metrics.values(), story.idle])
    names = {re.split(r"[{ ]", line)[0] for line in told.splitlines() if line[0] != "#"}
    assert names <= set(listed) and len(names) > 20
    assert 'task_queue_depth{queue="agents",state="todo"}' in told
    assert 'task_queue_wait_seconds_bucket{le="0.05",queue="agents",task="answer_question"}' in told


@pytest.mark.parametrize("module", ["runtime.migrate", "agents.worker", "runtime.web"])
def test_the_exporter_of_traces_is_not_imported_without_need(story: Story, module: str) -> None:
    python = story.services["backend"].python
    code = f"import sys, {module}; print(*sys.modules, sep='\\n')"
    loaded = run(python, "-c", code, cwd=python.parent).stdout.splitlines()
    assert module in loaded
    assert not {"opentelemetry.sdk", "opentelemetry.exporter"} & set(loaded)
