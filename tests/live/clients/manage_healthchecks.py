"""healthchecks-io: `api_url` and the key are all that changes. Arguments: the service's URL, the API's token."""

import sys

from healthchecks_io import CheckCreate, CheckUpdate, Client
from healthchecks_io.client.exceptions import CheckNotFoundError, HCAPIAuthError

url, token = sys.argv[1:]
for version in (1, 2, 3):
    client = Client(api_key=token, api_url=f"{url}/api/", ping_url=f"{url}/ping/", api_version=version)
    name = f"Backup by version {version}"
    wanted = CheckCreate(name=name, tags="py prod", desc="Copies", timeout=3600, grace=120, channels="ops")
    made = client.create_check(wanted)
    assert (made.name, made.tags, made.desc, made.grace, made.status) == (name, "py prod", "Copies", 120, "new")
    assert made.uuid == made.ping_url.rpartition("/")[2]
    assert made.update_url == f"{url}/api/v{version}/checks/{made.uuid}"
    assert client.get_check(made.uuid) == made
    assert made in client.get_checks()
    assert client.get_checks(tags=["py", "prod"])[-1].tags == "py prod"
    assert client.get_checks(tags=["py", "other"]) == []
    (channel, *_) = client.get_integrations()
    assert (channel.name, channel.kind, channel.id) == ("ops", "webhook", made.channels)
    changed = client.update_check(made.uuid, CheckUpdate(desc="Copies all", grace=60))
    assert (changed.desc, changed.grace, changed.name) == ("Copies all", 60, name)
    assert client.start_ping(uuid=made.uuid) == (True, "OK")
    assert client.success_ping(uuid=made.uuid, data="42 files") == (True, "OK")
    assert [ping.type for ping in client.get_check_pings(made.uuid)] == ["success", "start"]
    assert client.get_check(made.uuid).status == "up"
    assert client.pause_check(made.uuid).status == "paused"
    unique = client.create_check(CheckCreate(name=name, unique=["name"], tags="py"))
    assert (unique.uuid, unique.tags) == (made.uuid, "py")
    assert client.delete_check(made.uuid).uuid == made.uuid
    try:
        client.get_check(made.uuid)
    except CheckNotFoundError:
        pass
    else:
        raise AssertionError("it is still there")
try:
    Client(api_key="wrong", api_url=f"{url}/api/").get_checks()
except HCAPIAuthError:
    sys.exit()
raise AssertionError("a wrong key was taken")
