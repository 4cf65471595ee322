"""The dialect of the documents, as somebody else's package would bring it."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from tests.ingest.dialects import Entry
from tests.support.ingest import Asked

FILE = Path(__file__).parent.parent.parent.parent / "examples" / "dialect" / "pulse.py"
_spec = spec_from_file_location("pulse", FILE)
assert _spec is not None
assert _spec.loader is not None
pulse = module_from_spec(_spec)
sys.modules["pulse"] = pulse
_spec.loader.exec_module(pulse)

ENTRY = Entry(
    pulse.PulseDialect(),
    good=[Asked("/pulse/{token}"), Asked("/pulse/{token}/", "POST"), Asked("/pulse/{token}", query=b"bad=broken")],
    wrong=[Asked("/pulse/{secret}"), Asked("/pulse/job")],
    body=Asked("/pulse/{token}", "POST"),
    methods=("HEAD", "PUT", "DELETE", "OPTIONS", "STRANGE"),
)
