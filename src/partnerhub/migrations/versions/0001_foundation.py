"""The foundation: every package's first tables, their roles and policies."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import procrastinate.schema
import psycopg
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Run the SQL files of this revision in name order, then the job queue's own schema."""
    driver = cast("psycopg.Connection", op.get_bind().connection.driver_connection)
    # Through the driver, because the scripts hold several statements and percent signs.
    for script in sorted((Path(__file__).parent.parent / "sql" / revision).glob("*.sql")):
        driver.execute(script.read_bytes())
    driver.execute("set local search_path = jobs")
    driver.execute(procrastinate.schema.SchemaManager.get_schema().encode())
    driver.execute("set local search_path = public")
    driver.execute(
        "grant usage on schema jobs to hub_tenant, hub_system, hub_jobs;"
        "grant insert on jobs.procrastinate_jobs, jobs.procrastinate_events to hub_tenant, hub_system;"
        # queueing_lock too: without it PostgreSQL keeps the detail of a refused duplicate to itself.
        "grant select (id, queueing_lock) on jobs.procrastinate_jobs to hub_tenant, hub_system;"
        "grant usage on all sequences in schema jobs to hub_tenant, hub_system, hub_jobs;"
        "grant select, insert, update, delete on all tables in schema jobs to hub_jobs;"
        "grant execute on all functions in schema jobs to hub_tenant, hub_system, hub_jobs;"
    )
