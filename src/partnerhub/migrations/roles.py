"""The database roles, made once per server.

`hub_owner` owns the tables (migrations and backups become it), `hub_tenant` and `hub_system` are taken by
every transaction, `hub_jobs` is what the job queue needs. None can log in. The login role is a member of
all four and inherits only `hub_jobs`: by itself it reads nothing of the domain.
"""

from __future__ import annotations

from typing import LiteralString

import psycopg
from psycopg import sql

from partnerhub.kit.database import check_version
from partnerhub.kit.errors import Forbidden

GROUPS = ("hub_owner", "hub_tenant", "hub_system", "hub_jobs")


class RolesMissing(Forbidden):
    """The login may not create the roles; the message holds what an administrator has to run."""

    code = "roles_missing"


def ensure(url: str) -> None:
    """Make missing roles and memberships with the login of `url`; repeatable.

    Raises: DatabaseTooOld; RolesMissing when the login has no right to.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        check_version(connection.info.server_version)
        wanted = _missing(connection)
        for count, statement in enumerate(wanted):
            try:
                connection.execute(statement)
            except psycopg.errors.InsufficientPrivilege as error:
                text = ";\n".join(part.as_string(connection) for part in wanted[count:])
                raise RolesMissing(f"An administrator must run this once:\n{text};") from error


def _missing(connection: psycopg.Connection) -> list[sql.Composed | sql.SQL]:
    """Return the SQL that this server still lacks, in the order in which it is to be run."""
    login = connection.info.user
    existing = _names(connection, "select rolname from pg_roles where rolname = any(%s)", (list(GROUPS),))
    members = _names(
        connection,
        "select r.rolname from pg_auth_members m join pg_roles r on r.oid = m.roleid "
        "where m.member = (select oid from pg_roles where rolname = %s) and m.set_option",
        (login,),
    )
    wanted: list[sql.Composed | sql.SQL] = [
        sql.SQL("create role {} nologin").format(sql.Identifier(group))
        for group in GROUPS
        if group not in existing
    ]
    wanted += [
        sql.SQL("grant {} to {} with inherit {}, set true").format(
            sql.Identifier(group), sql.Identifier(login), sql.SQL("true" if group == "hub_jobs" else "false")
        )
        for group in GROUPS
        if group not in members
    ]
    if not _may_create(connection, has_owner="hub_owner" in existing):
        database = sql.Identifier(connection.info.dbname)
        wanted += [
            sql.SQL("grant create on database {} to hub_owner").format(database),
            sql.SQL("grant create, usage on schema public to hub_owner"),
        ]
    # PostgreSQL lets everybody use this schema; nobody but the owner makes things in it.
    wanted.append(sql.SQL("revoke create on schema public from public"))
    return wanted


def _may_create(connection: psycopg.Connection, *, has_owner: bool) -> bool:
    """Say whether the owner may make the two schemas in this database."""
    if not has_owner:
        return False
    row = connection.execute(
        "select has_database_privilege('hub_owner', current_database(), 'create') "
        "and has_schema_privilege('hub_owner', 'public', 'create')"
    ).fetchone()
    return row == (True,)


def _names(connection: psycopg.Connection, query: LiteralString, params: tuple[object, ...]) -> set[str]:
    return {str(name) for (name,) in connection.execute(query, params)}
