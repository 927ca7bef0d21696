"""The script of Alembic: it migrates with the engine of `runtime.migrate`, or prints the SQL."""

from alembic import context

if context.is_offline_mode():  # alembic upgrade head --sql
    context.configure(dialect_name="postgresql", literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
else:
    with context.config.attributes["engine"].connect() as connection:
        context.configure(connection=connection)
        with context.begin_transaction():
            context.run_migrations()
