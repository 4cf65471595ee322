"""The facts of an alert, as the outbox keeps them."""

import json

import pytest

from exporter.core.alerts.alert import ResolveReason
from exporter.core.alerts.alert_rule import Severity
from exporter.core.errors import InvalidValue
from exporter.core.status import Reason, Status
from exporter.notify.samples import nasty_samples, samples
from exporter.presentation.message import AlertSnapshot

WRITTEN = (
    '{"alert_id":"1","rule":"down","severity":"critical","description":"Grüße","failure_threshold":1,'
    '"success_threshold":2,"tag":"job","name":"Job","group":"","labels":{"team":"ops"},"about":"",'
    '"runbook_url":"","schedule":null,'
    '"every":null,"timezone":"UTC","status":"DOWN","reason":"failed","at":5,"triggered_at":3,"resolved_at":5,'
    '"ending":"recovered","last_success_at":null,"due_at":null,"since":null,"exit_code":1,'
    '"failures":null,"failure_tolerance":null,"took":null,"min_runtime":null,"output":"a\\n",'
    '"incident_id":null}'
)


def test_facts_come_back_as_they_were_written() -> None:
    for message in (*samples(most=3), *nasty_samples()):
        for facts in message.alerts:
            text = facts.to_json()
            text.encode()  # any database takes it
            assert AlertSnapshot.from_json(text) == facts


def test_rows_of_other_versions_are_read() -> None:
    """An outbox may hold messages of the release before, and of the one after when that is given up."""
    facts = AlertSnapshot.from_json(WRITTEN)
    assert facts == AlertSnapshot(
        alert_id="1",
        rule="down",
        severity=Severity.CRITICAL,
        description="Grüße",
        success_threshold=2,
        tag="job",
        name="Job",
        labels={"team": "ops"},
        status=Status.DOWN,
        reason=Reason.FAILED,
        at=5,
        triggered_at=3,
        resolved_at=5,
        ending=ResolveReason.RECOVERED,
        exit_code=1,
        output="a\n",
    )
    assert isinstance(facts.reason, Reason)
    assert facts.to_json() == json.dumps(json.loads(WRITTEN), separators=(",", ":"))
    members = json.loads(WRITTEN)
    for later in ("about", "runbook_url", "every", "failures", "failure_tolerance", "took", "min_runtime"):
        del members[later]
    assert AlertSnapshot.from_json(json.dumps(members)) == facts
    assert AlertSnapshot.from_json(WRITTEN.replace("{", '{"of_a_later_version":1,', 1)) == facts


@pytest.mark.parametrize("text", ["", "[]", "1", "{}", WRITTEN.replace("DOWN", "SIDEWAYS"), WRITTEN[:-1]])
def test_what_is_not_the_facts_of_an_alert_is_an_error_without_its_text(text: str) -> None:
    with pytest.raises(InvalidValue, match=r"^not the facts of an alert: \w+$"):
        AlertSnapshot.from_json(text)
