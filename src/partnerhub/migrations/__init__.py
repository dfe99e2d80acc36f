"""The schema and its history.

Migrations are plain SQL, one file per package under `sql/<revision>/`, run in name order by the Alembic
revision of the same name. They run as `hub_owner`, who owns every table; the roles themselves are made by
`bootstrap()`, because they belong to the server and not to one database.
"""
