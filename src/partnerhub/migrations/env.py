"""Alembic's entry: connects with the URL that `run.upgrade` hands over and becomes the owner role."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context

url = sa.make_url(context.config.attributes["url"]).set(drivername="postgresql+psycopg")
engine = sa.create_engine(url, poolclass=sa.pool.NullPool)
with engine.connect() as connection:
    connection.execute(sa.text("set role hub_owner"))
    connection.execute(sa.text("set lock_timeout = '5s'"))
    connection.execute(sa.text("set statement_timeout = '10min'"))
    connection.commit()
    context.configure(connection=connection, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()
