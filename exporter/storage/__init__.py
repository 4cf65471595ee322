"""Tables, queries, the lease and migrations; one code for every engine."""

import sys

# peewee and playhouse import every driver that they find, and psycopg takes six megabytes of every process. Where it is
# needed, the engine imports it.
_hidden = [name for name in ("psycopg", "psycopg2") if name not in sys.modules]
sys.modules.update(dict.fromkeys(_hidden))  # type: ignore[arg-type]
from playhouse import migrations as _  # noqa: E402, F401

for _name in _hidden:
    del sys.modules[_name]
