"""The database roles, made once per server.

`hub_owner` owns the tables (migrations and backups become it), `hub_tenant` and `hub_system` are taken by
every transaction, `hub_jobs` is what the job queue needs. None can log in. The login role is a member of
all four and inherits only `hub_jobs`: by itself it reads nothing of the domain.
"""

from __future__ import annotations

from typing import LiteralString

import psycopg
from psycopg import sql

from partnerhub.kit.errors import Forbidden

GROUPS = ("hub_owner", "hub_tenant", "hub_system", "hub_jobs")


class RolesMissing(Forbidden):
    """The login may not create the roles; the message holds the SQL for an administrator."""

    code = "roles_missing"


def statements(login: str) -> list[sql.Composed]:
    """Return the SQL that prepares a server for the login role."""
    made = [sql.SQL("create role {} nologin").format(sql.Identifier(group)) for group in GROUPS]
    granted = [
        sql.SQL("grant {} to {} with inherit {}, set true").format(
            sql.Identifier(group), sql.Identifier(login), sql.SQL("true" if group == "hub_jobs" else "false")
        )
        for group in GROUPS
    ]
    return made + granted


def ensure(url: str) -> None:
    """Make missing roles and memberships with the login of `url`; repeatable.

    Raises: RolesMissing when the login has no right to.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        login = connection.info.user
        existing = _names(connection, "select rolname from pg_roles where rolname = any(%s)", (list(GROUPS),))
        members = _names(
            connection,
            "select r.rolname from pg_auth_members m join pg_roles r on r.oid = m.roleid "
            "where m.member = (select oid from pg_roles where rolname = %s) and m.set_option",
            (login,),
        )
        try:
            for statement, group in zip(statements(login), [*GROUPS, *GROUPS], strict=True):
                is_creation = statement.as_string(connection).startswith("create")
                if (is_creation and group in existing) or (not is_creation and group in members):
                    continue
                connection.execute(statement)
            # The owner must be able to make the two schemas in this database.
            may_create = connection.execute(
                "select has_database_privilege('hub_owner', current_database(), 'create') "
                "and has_schema_privilege('hub_owner', 'public', 'create')"
            ).fetchone()
            if may_create != (True,):
                connection.execute(
                    sql.SQL("grant create on database {} to hub_owner").format(
                        sql.Identifier(connection.info.dbname)
                    )
                )
                connection.execute("grant create, usage on schema public to hub_owner")
            # PostgreSQL lets everybody use this schema; nobody but the owner makes things in it.
            connection.execute("revoke create on schema public from public")
        except psycopg.errors.InsufficientPrivilege as error:
            text = ";\n".join(part.as_string(connection) for part in statements(login))
            raise RolesMissing(f"An administrator must run this once:\n{text};") from error


def _names(connection: psycopg.Connection, query: LiteralString, params: tuple[object, ...]) -> set[str]:
    return {str(name) for (name,) in connection.execute(query, params)}
