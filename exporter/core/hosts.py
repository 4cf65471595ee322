"""Names of hosts beyond ASCII. DNS knows them in ASCII only, and two standards disagree about how some are written.

By IDNA 2008 `straße.de` is `xn--strae-oqa.de`; by IDNA 2003, which is what Python brings, it is `strasse.de`, which may
belong to a stranger. A name on which both agree can be used; for any other its owner has to write the ASCII form.
"""

import re
from unicodedata import normalize

from exporter.core.errors import InvalidValue

_DOTS = re.compile("[.\u3002\uff0e\uff61]")


def ascii_form(name: str) -> str:
    """`name` by IDNA 2008, in ASCII."""
    lower = normalize("NFKC", normalize("NFKC", name).lower())
    return ".".join(label if label.isascii() else _punycode(label) for label in _DOTS.split(lower))


def ascii_name(name: str) -> str:
    """`name` in ASCII. Raises InvalidValue, which names the ASCII form, when it is not the same by both standards."""
    if name.isascii():
        return name
    try:
        older = name.encode("idna").decode()
    except UnicodeError:
        raise InvalidValue("must be the name of a host") from None
    form = ascii_form(name)
    if older.lower() != form:
        raise InvalidValue(
            f"the host {name[:100]} is not the same to all programs: write it in ASCII, {form} (some take {older})"
        )
    return older


def _punycode(label: str) -> str:
    return f"xn--{label.encode('punycode').decode()}"
