"""The routes of our own dialects, for the log's redaction: processes that take no heartbeats must not load dialects."""

from exporter.ingest.routes import Route

NATIVE = (Route(("GET", "POST", "HEAD"), "/ext/heartbeat/{rest*}"),)
ALERTMANAGER = (Route(("POST",), "/api/v1/alertmanager/{rest*}"),)
HEALTHCHECKS = (Route(("GET", "POST", "HEAD", "OPTIONS"), "/ping/{rest*}"),)
HEALTHCHECKS_API = tuple(
    Route((*methods, "OPTIONS"), f"/api/{{version}}{rest}", public=("version",), secret=("X-Api-Key", "api_key"))
    for methods, rest in (
        (("GET", "POST"), "/checks"),
        (("GET", "POST", "DELETE"), "/checks/{id}"),
        (("POST",), "/checks/{id}/pause"),
        (("POST",), "/checks/{id}/resume"),
        (("GET",), "/checks/{id}/pings"),
        (("GET",), "/checks/{id}/pings/{number}/body"),
        (("GET",), "/channels"),
        (("GET",), "/status"),
    )
)
UPTIME_KUMA = (Route(("GET", "POST", "HEAD", "PUT"), "/api/push/{token*}"),)
GATUS = (Route(("POST",), "/api/v1/endpoints/{key}/external", public=("key",)),)
BETTER_STACK = (Route(("GET", "POST", "HEAD"), "/api/v1/heartbeat/{rest*}"),)
DEAD_MANS_SNITCH = (Route(("GET", "POST", "HEAD"), "/snitch/{token*}"),)
_TELEMETRY = ("GET", "POST", "HEAD")
CRONITOR = (
    Route(_TELEMETRY, "/p/{rest*}"),
    # Healthchecks' path, too: its clients send none of these parameters and none of these verbs.
    Route(_TELEMETRY, "/ping/{key}/{name}", query=("state", "stamp", "series", "metric")),
    Route(_TELEMETRY, "/ping/{key}/{name}/run"),
    Route(_TELEMETRY, "/ping/{key}/{name}/complete"),
    Route(_TELEMETRY, "/ping/{key}/{name}/fail", query=("state", "stamp", "series", "metric")),
)
OPSGENIE = (Route(("GET", "POST", "PUT", "PATCH"), "/v2/heartbeats/{name}/ping", public=("name",), secret=("apiKey",)),)
_SENTRY_KEYS = ("sentry_key", "X-Sentry-Auth")
SENTRY = (
    Route(("POST",), "/api/{project}/envelope", public=("project",), secret=_SENTRY_KEYS),
    Route(("GET", "POST"), "/api/{project}/cron/{slug}", public=("project", "slug"), secret=_SENTRY_KEYS),
    Route(("GET", "POST"), "/api/{project}/cron/{slug}/{key}", public=("project", "slug"), secret=_SENTRY_KEYS),
)
_PUSHES = ("PUT", "POST", "DELETE")
PUSHGATEWAY = (
    Route(_PUSHES, "/metrics/job/{rest*}"),
    Route(_PUSHES, "/metrics/job@base64/{rest*}"),
)
ROUTES = (
    *NATIVE,
    *ALERTMANAGER,
    *HEALTHCHECKS,
    *UPTIME_KUMA,
    *GATUS,
    *BETTER_STACK,
    *DEAD_MANS_SNITCH,
    *CRONITOR,
    *OPSGENIE,
    *SENTRY,
    *PUSHGATEWAY,
)
