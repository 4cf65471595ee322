"""opsgenie-sdk: the host is all that changes. Arguments: the service's URL, a key that creates."""

import sys
from uuid import UUID

import opsgenie_sdk

url, key = sys.argv[1:]
configuration = opsgenie_sdk.configuration.Configuration()
configuration.host = url
configuration.retry_count = 1


def heartbeats(key: str) -> opsgenie_sdk.HeartbeatApi:
    configuration.api_key["Authorization"] = key
    return opsgenie_sdk.HeartbeatApi(opsgenie_sdk.ApiClient(configuration=configuration))


for name in ("job", "new-opsgenie", "new-opsgenie"):
    answer = heartbeats(key).ping(name)
    assert answer.result == "PONG - Heartbeat received", answer
    assert UUID(answer.request_id)
try:
    heartbeats("wrong").ping("job")
except opsgenie_sdk.exceptions.AuthenticationException as error:
    assert error.status == 401, error
else:
    raise AssertionError("a wrong key was taken")
