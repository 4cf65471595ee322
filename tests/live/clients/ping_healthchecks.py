"""healthchecks-io: `ping_url` is all that changes. Arguments: the service's URL, a UUID, a ping key that creates."""

import sys

from healthchecks_io import CheckCreate, CheckTrap, Client
from healthchecks_io.client.exceptions import CheckNotFoundError

url, uuid, key = sys.argv[1:]
assert CheckCreate
client = Client(ping_key=key, ping_url=f"{url}/ping/")
assert client.start_ping(uuid=uuid) == (True, "OK")
assert client.success_ping(uuid=uuid, data="42 files") == (True, "OK")
assert client.fail_ping(slug="job", data="disk full") == (True, "OK")
assert client.exit_code_ping(3, slug="job") == (True, "OK")
assert client.exit_code_ping(0, uuid=uuid) == (True, "OK")
with CheckTrap(client, uuid=uuid):
    pass
for wrong in ({"uuid": uuid[:-4] + "ffff"}, {"slug": "nobody"}):
    try:
        client.success_ping(**wrong)
    except CheckNotFoundError:
        continue
    raise AssertionError(wrong)
