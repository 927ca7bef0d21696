"""What every service of this project runs on.

Read it in this order; each module's docstring says what it is for:

- `settings`: the variables of a service; `program`: how a program starts with them.
- `logs`, `masking`, `context`: the lines of the log, without secrets, with the id of the request.
- `metrics`, `health`: what is measured, and the internal port that shows it.
- `web`, `limits`: what an API is served with. `queue`, `tasks`, `depth`: what a worker runs on.
- `database`, `migrate`: PostgreSQL. `genai`: calls of language models. `tracing`: OpenTelemetry.
- `questions`: the example's own table; replace it with yours. `testing`: fixtures of pytest.
"""
