"""The base of every service of this project.

Read the modules in this order:

- `settings`: the variables of a service; `program`: how a program starts with them.
- `logs`, `masking`: the lines of the log, without secrets.
- `tracing`: the id and the trace of a request, in every process; OpenTelemetry.
- `metrics`, `health`: the metrics, and the internal port that serves them.
- `web`, `limits`: the server of an API. `queue`, `tasks`, `depth`: the queue and its workers.
- `database`, `migrate`: PostgreSQL. `genai`: calls of language models.
- `questions`: the example's own table; replace it with yours. `testing`: fixtures of pytest.
"""
