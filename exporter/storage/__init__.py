"""Tables, queries, the lease and migrations; one code for every engine."""

from exporter.storage.drivers import without_drivers

with without_drivers():
    import peewee as _  # noqa: F401
