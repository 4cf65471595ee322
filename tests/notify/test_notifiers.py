"""What every type of notifier does, alike. A new one is tested by its line in NOTIFIERS and an entry in `entries`."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.notify.notifier import DeliveryFailed, Failure, Notifier
from exporter.notify.notifiers import NOTIFIERS, notifier_class
from exporter.notify.samples import nasty_samples, sample, samples
from exporter.presentation.message import Event, Message
from tests.notify.entries import Entry, entry
from tests.support.ports import free_port
from tests.support.receivers import (
    DRIPPING_BODY,
    DRIPPING_HEAD,
    Behaviour,
    Receiver,
    answer,
    echo,
    flood,
    reset,
    self_signed,
    silence,
)

TIMEOUT = 0.4
IN_TIME = 5.0
"""Seconds, for a delivery with that timeout."""
TRIGGERED = sample(Event.TRIGGERED)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every type; what is about HTTP, for those that speak it."""
    if "type" in metafunc.fixturenames:
        spoken = "by_http" in metafunc.fixturenames
        metafunc.parametrize("type", [one for one in sorted(NOTIFIERS) if not (spoken and entry(one).not_by_http)])


@pytest.fixture
def described(type: str) -> Entry:
    return entry(type)


@pytest.fixture
def by_http(described: Entry) -> Entry:
    return described


@pytest.fixture
def receiver(by_http: Entry) -> Iterator[Receiver]:
    with Receiver(by_http.accepted) as receiver:
        yield receiver


def make(type: str, url: str, **more: object) -> Notifier:
    kind = notifier_class(type)
    given = {"name": "n", "type": type, "timeout": f"{int(TIMEOUT * 1000)}ms", **entry(type).options(url), **more}
    return kind(kind.Options.model_validate(given))


def failure(notifier: Notifier, message: Message = TRIGGERED) -> DeliveryFailed:
    began = time.monotonic()
    with pytest.raises(DeliveryFailed) as caught:
        notifier.deliver(message)
    assert time.monotonic() - began < IN_TIME
    assert str(caught.value).strip()
    return caught.value


@pytest.mark.parametrize("count", [1, 3, 500])
@pytest.mark.parametrize("event", Event)
def test_delivers(type: str, by_http: Entry, receiver: Receiver, event: Event, count: int) -> None:
    said = make(type, receiver.url, timeout="10s").deliver(sample(event, count=count))
    assert isinstance(said, str)
    assert receiver.received
    for request in receiver.received:
        by_http.check(request)


def test_whatever_the_texts_hold(type: str, by_http: Entry, receiver: Receiver) -> None:
    notifier = make(type, receiver.url, timeout="10s")
    for message in [*samples(most=40), *nasty_samples()]:
        notifier.deliver(message)
        while receiver.received:
            by_http.check(receiver.received.pop())


def test_the_same_message_has_the_same_key(type: str, by_http: Entry, receiver: Receiver) -> None:
    def keys(message: Message) -> list[str]:
        receiver.received.clear()
        make(type, receiver.url).deliver(message)
        return sorted(repr(by_http.key(request)) for request in receiver.received)

    first = keys(sample(Event.TRIGGERED, count=2, key="one"))
    assert keys(sample(Event.TRIGGERED, count=2, key="one")) == first
    assert not set(first) & set(keys(sample(Event.TRIGGERED, count=2, key="two")))


@pytest.mark.parametrize(
    ("behaviour", "expected", "retry"),
    [
        (answer(429, "slow down", Retry_After="17"), Failure.RATE_LIMITED, True),
        (answer(500, "oops"), Failure.SERVER_ERROR, True),
        (answer(503, "later", Retry_After="17"), Failure.SERVER_ERROR, True),
        (answer(400, "no"), Failure.REJECTED, False),
        (answer(403, "no"), Failure.REJECTED, False),
        (answer(404, "no"), Failure.REJECTED, False),
        (answer(410, "no"), Failure.REJECTED, False),
        (reset, Failure.CONNECT, True),
        (silence, Failure.TIMEOUT, True),
        (DRIPPING_HEAD, Failure.TIMEOUT, True),
    ],
    ids=["429", "500", "503", "400", "403", "404", "410", "reset", "silence", "dripping head"],
)
def test_refusals(type: str, receiver: Receiver, behaviour: Behaviour, expected: Failure, retry: bool) -> None:
    receiver.behave(behaviour)
    failed = failure(make(type, receiver.url))
    assert (failed.failure, failed.retry) == (expected, retry)
    told_when = behaviour if expected is Failure.RATE_LIMITED else None
    assert failed.retry_after == (17 if told_when else failed.retry_after)


def test_a_refusal_is_not_for_ever(type: str, by_http: Entry, receiver: Receiver) -> None:
    receiver.behave(answer(500), reset, by_http.accepted)
    notifier = make(type, receiver.url)
    assert failure(notifier).retry
    assert failure(notifier).retry
    notifier.deliver(TRIGGERED)


@pytest.mark.parametrize("behaviour", [DRIPPING_BODY, flood], ids=["dripping", "flood"])
def test_an_answer_without_end_holds_nobody_up(type: str, receiver: Receiver, behaviour: Behaviour) -> None:
    receiver.behave(behaviour)
    began = time.monotonic()
    try:
        make(type, receiver.url).deliver(TRIGGERED)
    except DeliveryFailed as failed:
        assert failed.retry  # who reads answers may find that this one says nothing
    assert time.monotonic() - began < IN_TIME


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(type: str, receiver: Receiver, status: int) -> None:
    receiver.behave(answer(status, "", Location=f"{receiver.url}/elsewhere"))
    failed = failure(make(type, receiver.url))
    assert (failed.failure, failed.retry) == (Failure.REJECTED, False)
    assert len(receiver.received) == 1


def test_nobody_there(type: str, by_http: Entry) -> None:
    failed = failure(make(type, f"http://127.0.0.1:{free_port()}"))
    assert (failed.failure, failed.retry) == (Failure.CONNECT, True)
    assert "refused" in str(failed)


def test_a_certificate_that_nobody_vouches_for(type: str, by_http: Entry, tmp_path: Path) -> None:
    context, _ = self_signed(tmp_path)
    with Receiver(by_http.accepted, tls=context) as receiver:
        failed = failure(make(type, receiver.url))
    assert (failed.failure, failed.retry) == (Failure.CONNECT, True)
    assert "self-signed certificate" in str(failed)
    assert not receiver.received


def test_private_addresses_may_be_refused(type: str, receiver: Receiver) -> None:
    for host in ("127.0.0.1", "localhost"):
        failed = failure(make(type, f"http://{host}:{receiver.port}", allow_private_addresses=False))
        assert (failed.failure, failed.retry) == (Failure.FORBIDDEN, False)
        assert "allow_private_addresses" in str(failed)
    assert not receiver.received


def test_proxies_come_from_the_environment(type: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", receiver.url)
    make(type, "http://service.invalid").deliver(TRIGGERED)
    assert all(request.target.startswith("http://service.invalid/") for request in receiver.received)
    assert receiver.received


def test_no_secret_is_ever_shown(
    type: str, by_http: Entry, receiver: Receiver, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level("DEBUG", "exporter")
    notifier = make(type, receiver.url)
    shown = [repr(notifier), repr(notifier.options), str(notifier.options), repr(vars(notifier.options))]
    shown += [repr(notifier.options.model_dump()), notifier.options.model_dump_json()]
    for behaviour in (echo(200), echo(400), echo(429), echo(500), echo(302), reset, silence):
        receiver.behave(behaviour)
        try:
            shown.append(notifier.deliver(TRIGGERED))
        except DeliveryFailed as failed:
            shown += [str(failed), repr(failed), repr(failed.args), repr(failed.__cause__)]
    shown.append(str(failure(make(type, f"http://127.0.0.1:{free_port()}"))))
    told = "\n".join([*shown, caplog.text])
    for secret in by_http.secrets:
        assert secret not in told
    sent = "\n".join(f"{request.target}\n{request.headers}\n{request.body.decode()}" for request in receiver.received)
    assert any(secret in sent for secret in by_http.secrets), "the entry's secrets are those that are used"


def test_options_that_cannot_be(type: str, described: Entry) -> None:
    model = notifier_class(type).Options
    good = {"name": "n", "type": type, **described.options("http://127.0.0.1:1")}
    model.model_validate(good)
    for wrong in ({"timeout": "0s"}, {"timeout": 5}, {"name": ""}, {"name": None}, {"no_such_option": 1}):
        with pytest.raises(ValueError) as caught:
            model.model_validate({**good, **wrong})
        assert not any(secret in str(caught.value) for secret in described.secrets)


def test_every_option_says_what_it_is(type: str) -> None:
    for name, field in notifier_class(type).Options.model_fields.items():
        assert field.description, name


def test_who_is_not_asked_by_http_says_why(type: str, described: Entry) -> None:
    assert described.secrets
    if described.not_by_http:
        assert "test" in described.not_by_http, "it says where its own tests are"
