"""Tests of the routes, on a real PostgreSQL."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from fastapi.testclient import TestClient

JOBS = "SELECT queue_name, task_name, args FROM procrastinate_jobs"


def rows(url: str, query: str) -> list[tuple[Any, ...]]:
    """The rows that a query returns."""
    with psycopg.connect(url) as connection:
        return connection.execute(query.encode()).fetchall()


def test_a_question_is_stored_and_enqueued_together(client: TestClient, database_url: str) -> None:
    response = client.post("/questions", json={"text": "  Why is the sea salt? \n"})
    assert response.status_code == 201
    question = response.json()
    assert question.pop("asked_at")
    assert question == {
        "id": 1,
        "text": "Why is the sea salt?",
        "status": "waiting",
        "answer": None,
        "model": None,
        "answered_at": None,
        "truncated": False,
    }
    ((queue, task, arguments),) = rows(database_url, JOBS)
    assert (queue, task, arguments["question_id"]) == ("answers", "answer_question", 1)
    assert arguments["_context"]["x-request-id"] == response.headers["x-request-id"]


def test_a_question_that_cannot_be_enqueued_is_not_stored(
    client: TestClient, database_url: str
) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("ALTER TABLE procrastinate_events RENAME COLUMN type TO kind")
    assert client.post("/questions", json={"text": "Why?"}).status_code == 500
    assert client.get("/questions").json() == []
    assert rows(database_url, JOBS) == []


def test_without_a_queue_a_question_is_only_stored(
    client_of: Callable[..., TestClient], database_url: str
) -> None:
    with client_of(database_url, queue="") as client:
        assert client.post("/questions", json={"text": "Why?"}).status_code == 201
        assert [question["status"] for question in client.get("/questions").json()] == ["waiting"]
    assert rows(database_url, JOBS) == []


@pytest.mark.parametrize(
    "body",
    [
        {"text": ""},
        {"text": " \n\t "},
        {"text": "x" * 2001},
        {"text": "NUL \x00"},
        {"text": 5},
        {"text": None},
        {},
        [],
        None,
    ],
)
def test_an_invalid_question_is_refused(client: TestClient, body: object) -> None:
    response = client.post("/questions", json=body)
    assert response.status_code == 422
    assert response.json()["detail"]
    assert client.get("/questions").json() == []


@pytest.mark.parametrize("body", [b"not JSON", b'{"text": "\\ud800"}', b"\xff"])
def test_a_body_that_cannot_be_read_is_refused(client: TestClient, body: bytes) -> None:
    headers = {"content-type": "application/json"}
    response = client.post("/questions", content=body, headers=headers)
    assert response.status_code in (400, 422)
    assert response.json()["detail"]


@pytest.mark.parametrize("declared", [True, False], ids=["with its length", "in chunks"])
def test_a_body_over_the_limit_is_refused(client: TestClient, declared: bool) -> None:
    body = b'{"text": "Why?"}'.ljust(1_000_001)
    headers = {"content-type": "application/json"}
    content = body if declared else iter([body])
    response = client.post("/questions", content=content, headers=headers)
    assert ("content-length" in response.request.headers) == declared
    assert response.status_code == 413
    assert client.get("/questions").json() == []
    response = client.post("/questions", content=body[:-1], headers=headers)
    assert response.status_code == 201


def test_a_question_may_have_2000_characters(client: TestClient) -> None:
    assert client.post("/questions", json={"text": f" {'ü' * 2000} "}).status_code == 201


def test_the_newest_fifty_questions_are_listed_newest_first(
    client: TestClient, database_url: str, package: str
) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "INSERT INTO questions (service, text) SELECT %s, 'Question ' || n "
            "FROM generate_series(1, 60) AS n",
            (package,),
        )
    texts = [question["text"] for question in client.get("/questions").json()]
    assert texts == [f"Question {number}" for number in range(60, 10, -1)]


def test_an_answer_is_shown(client: TestClient, database_url: str) -> None:
    place = f"/questions/{client.post('/questions', json={'text': 'Why?'}).json()['id']}"
    assert client.get(place).json()["status"] == "waiting"
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "UPDATE questions SET status = 'answered', answer = 'So.', model = 'wise', "
            "answered_at = now()"
        )
    question = client.get(place).json()
    assert [question[key] for key in ("status", "answer", "model")] == ["answered", "So.", "wise"]
    assert question["answered_at"] > question["asked_at"]


def test_a_long_answer_is_cut_in_the_list_and_complete_on_its_own(
    client: TestClient, database_url: str
) -> None:
    for text in ("Long?", "Short?"):
        client.post("/questions", json={"text": text})
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "UPDATE questions SET status = 'answered', model = 'wise', answered_at = now(), "
            "answer = repeat('ü', CASE text WHEN 'Long?' THEN 3000000 ELSE 2000 END)"
        )
    response = client.get("/questions")
    assert len(response.content) < 10_000
    listed = [(each["text"], each["answer"], each["truncated"]) for each in response.json()]
    assert listed == [("Short?", "ü" * 2000, False), ("Long?", "ü" * 2000, True)]
    whole = client.get("/questions/1").json()
    assert (len(whole["answer"]), whole["truncated"]) == (3_000_000, False)


def test_the_questions_of_another_service_are_not_shown(
    client: TestClient, database_url: str
) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("INSERT INTO questions (service, text) VALUES ('other', 'Why?')")
    assert client.get("/questions").json() == []
    assert client.get("/questions/1").status_code == 404


def test_an_unknown_question_is_not_found(client: TestClient) -> None:
    response = client.get("/questions/12")
    assert (response.status_code, response.json()) == (
        404,
        {"detail": "There is no question 12."},
    )


@pytest.mark.parametrize("number", ["0", "-1", "one", "1.5", str(2**63)])
def test_an_invalid_id_of_a_question_is_refused(client: TestClient, number: str) -> None:
    assert client.get(f"/questions/{number}").status_code == 422
