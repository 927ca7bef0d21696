"""Questions and their answers, and which files of the queue have been applied."""

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the first tables. Nothing undoes this: fix mistakes in a later revision."""
    op.execute("""
        CREATE TABLE questions (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            service text NOT NULL,
            text text NOT NULL,
            status text NOT NULL DEFAULT 'waiting'
                CHECK (status IN ('waiting', 'answered', 'failed')),
            answer text,
            model text,
            asked_at timestamptz NOT NULL DEFAULT now(),
            answered_at timestamptz,
            CHECK ((status = 'answered') = (answer IS NOT NULL))
        );
        CREATE INDEX questions_newest ON questions (service, id DESC);
        CREATE TABLE queue_migrations (
            name text PRIMARY KEY,
            applied_at timestamptz NOT NULL DEFAULT now()
        );
    """)
