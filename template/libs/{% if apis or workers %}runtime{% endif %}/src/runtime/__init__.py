"""What every service of this project runs on.

Read the modules in this order:

- `settings`: the variables of a service; `program`: how a program starts with them.
- `logs`, `masking`: the lines of the log, without secrets.
- `tracing`: the id and the trace of a request, through every process; OpenTelemetry.
- `metrics`, `health`: what is measured, and the internal port that shows it.
- `web`, `limits`: what an API is served with. `queue`, `tasks`, `depth`: what a worker runs on.
- `database`, `migrate`: PostgreSQL. `genai`: calls of language models.
- `questions`: the example's own table; replace it with yours. `testing`: fixtures of pytest.
"""
