"""Apprise, the real library, sending to a receiver of our own."""

import importlib.util
import logging
import sys
from typing import Any

import pytest
from pydantic import ValidationError

from exporter.app.log_setup import set_level
from exporter.notify.notifier import DeliveryFailed, Failure
from exporter.notify.notifiers.apprise import AppriseNotifier, AppriseOptions
from exporter.notify.samples import nasty_samples, sample
from exporter.presentation.message import Event
from tests.support.receivers import Receiver, answer


def url(service: Receiver, path: str) -> str:
    return service.url.replace("http://", "json://user:SESAME-pw@") + f"/{path}/SESAME-path"


def notifier(urls: list[str] | str, **given: Any) -> AppriseNotifier:
    return AppriseNotifier(AppriseOptions.model_validate({"name": "many", "type": "apprise", "urls": urls, **given}))


def test_each_service_gets_the_message(service: Receiver) -> None:
    said = notifier([url(service, "a"), url(service, "b")]).deliver(sample(Event.TRIGGERED))
    assert said == "Apprise: 2 of 2 services accepted it"
    assert [got.target for got in service.received] == ["/a/SESAME-path", "/b/SESAME-path"]
    body = service.bodies[0]
    assert body["title"] == "🔴 DOWN: Nightly backup, missed, 12 min late"
    assert body["type"] == "failure"
    for told in ("Free some space", "Last success: Mon 23 Nov", "no space left on device"):
        assert told in body["message"]


@pytest.mark.parametrize(
    ("event", "index", "kind"),
    [(Event.RESOLVED, 0, "success"), (Event.TRIGGERED, 2, "warning"), (Event.TRIGGERED, 3, "info")],
)
def test_how_bad_it_is(service: Receiver, event: Event, index: int, kind: str) -> None:
    message = sample(event, count=4)
    one = type(message)("k", event, (message.alerts[index],), message.site, message.enqueued_at)
    notifier(url(service, "a")).deliver(one)
    assert service.bodies[0]["type"] == kind


def test_whoever_has_it_does_not_get_it_again(service: Receiver) -> None:
    sender = notifier([url(service, "a"), url(service, "b")])
    service.behave(answer(200), answer(500, "SESAME-pw"), answer(200))
    with pytest.raises(DeliveryFailed) as caught:
        sender.deliver(sample(Event.TRIGGERED))
    assert (caught.value.failure, caught.value.retry) == (Failure.SERVER_ERROR, True)
    assert str(caught.value) == "Apprise could not deliver to urls[2] (json)"
    sender.deliver(sample(Event.TRIGGERED))
    assert [got.target[1] for got in service.received] == ["a", "b", "b"]


def test_whatever_is_in_it_arrives(service: Receiver) -> None:
    sender = notifier(url(service, "a"))
    for message in nasty_samples():
        sender.deliver(message)
    assert len(service.received) == len(nasty_samples())
    assert any("{{ 7 * 7 }} {% raw %}" in body["message"] for body in service.bodies)


def test_no_url_is_logged(service: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    level = logging.getLogger().level
    try:
        set_level("debug")
        caplog.set_level(logging.DEBUG)
        with pytest.raises(ValidationError):
            notifier("nosuchscheme://SESAME")
        sender = notifier([url(service, "a"), "json://user:SESAME@127.0.0.1:1/SESAME"])
        service.behave(answer(500, "SESAME-pw"))
        with pytest.raises(DeliveryFailed) as caught:
            sender.deliver(sample(Event.TRIGGERED))
    finally:
        set_level(logging.getLevelName(level))
    texts = [record.getMessage() for record in caplog.records]
    texts += [str(caught.value), repr(sender), repr(sender.options), sender.options.model_dump_json()]
    assert "SESAME" not in "\n".join(texts)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"urls": ["mailto://a:b@example.org", "nosuchscheme://SESAME"]},
            "number 2 is not a URL that Apprise supports",
        ),
        ({"urls": "SESAME"}, "number 1 is not a URL"),
        ({"urls": []}, "needs at least one"),
        ({"urls": "# nothing\n\n"}, "needs at least one"),
        ({"allow_private_addresses": False}, "Apprise opens its own connections"),
    ],
)
def test_options_that_cannot_be(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said) as caught:
        notifier(**{"urls": "json://127.0.0.1/", **given})
    assert "SESAME" not in str(caught.value)


def test_a_file_has_one_a_line() -> None:
    sender = notifier("# ours\njson://127.0.0.1/a\n\n  json://127.0.0.1/b  \n")
    assert len(sender.options.urls) == 2


def test_without_the_package_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        "exporter.notify.notifiers.apprise.find_spec", lambda name: None if name == "apprise" else found(name)
    )
    with pytest.raises(
        ValidationError, match=r"requires the package apprise: pip install 'heartbeat-exporter\[apprise\]'"
    ):
        notifier("json://127.0.0.1/")


def test_it_is_imported_only_where_it_is_used() -> None:
    import subprocess

    code = "import sys, exporter.notify.notifiers.apprise; sys.exit('apprise' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
