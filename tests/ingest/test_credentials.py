"""Tokens and ping keys: what they open, what they look like, and what they cost."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core.alerts.alert_rule import Selector
from exporter.core.credentials import BuiltInTokens, PingKey, check_key, check_token, comparable
from exporter.core.errors import InvalidValue
from exporter.core.secret import digest
from exporter.core.telemetry import RejectReason
from exporter.ingest.credentials import Credentials, Grant
from tests.support.ingest import KEY, SECRET, fleet_of, monitor

TOKENS = BuiltInTokens(KEY)
KEY_TEXT = "SESAME-key-of-many"
OPS = PingKey(name="ops", digest=digest(KEY_TEXT, KEY), selector=Selector(tags=("job*",)))
MAKER = PingKey(name="maker", digest=digest("maker-key-1", KEY), selector=Selector(tags=("ci-*",)), defaults={})


@given(st.integers(1, 2**42 - 1), st.integers(0, 2**40))
def test_a_built_in_token_is_a_uuid_that_only_its_own_monitor_has(number: int, generation: int) -> None:
    token = TOKENS.of(number, generation)
    assert (UUID(token).version, UUID(token).variant) == (8, UUID("0" * 12 + "4" + "0" * 3 + "8" + "0" * 15).variant)
    assert TOKENS.claimed(token) == number
    assert TOKENS.is_of(token, number, generation)
    assert not TOKENS.is_of(token, number, generation + 1)
    assert not TOKENS.is_of(token, number + 1, generation)
    assert TOKENS.of(number, generation + 1) != token
    assert BuiltInTokens(b"another-key-of-ours").claimed(token) != number


@given(st.uuids(version=4) | st.text(max_size=40))
def test_any_other_text_is_no_built_in_token(text: object) -> None:
    number = TOKENS.claimed(str(text))
    assert number is None or not TOKENS.is_of(str(text), number, 0)


def test_one_bit_off_is_another_token() -> None:
    token = TOKENS.of(7, 0)
    for place in range(len(token)):
        if token[place] == "-":
            continue
        changed = token[:place] + ("0" if token[place] != "0" else "1") + token[place + 1 :]
        number = TOKENS.claimed(changed)
        assert number is None or not TOKENS.is_of(changed, number, 0)


def test_tokens_and_keys_that_cannot_be() -> None:
    assert check_token("A-token-10") == "A-token-10"
    assert check_token("11111111-AAAA-4AAA-8AAA-1111111111AA") == "11111111-aaaa-4aaa-8aaa-1111111111aa"
    assert check_key("0123456789") == "0123456789"
    for text in ("", "short", "with blank in it", "with/slash-in-it", "x" * 129, "ümlaut-1234"):
        for check in (check_token, check_key):
            with pytest.raises(InvalidValue) as raised:
                check(text)
            assert not text or text not in str(raised.value)


def test_only_uuids_are_alike_in_any_case() -> None:
    assert comparable("ABCDEFABCDEF") == "ABCDEFABCDEF"
    assert comparable("0123456789ABCDEF0123456789ABCDEF0123") == "0123456789ABCDEF0123456789ABCDEF0123"


def credentials(**options: object) -> Credentials:
    job = monitor(1, "job", SECRET, ["11111111-aaaa-4aaa-8aaa-1111111111aa", "job-token-1"])
    job.secrets = (digest("older", KEY),)
    made = Credentials(fleet_of(job, monitor(2, "other", "other-secret")), KEY)
    made.use([OPS, MAKER])
    return made


def opened(found: Grant | RejectReason) -> tuple[str, str | None]:
    assert isinstance(found, Grant), found
    return found.tag, found.key.name if found.key is not None else None


def test_what_opens_what() -> None:
    check = credentials().check
    assert opened(check(SECRET, "job")) == ("job", None)
    assert opened(check("older", "job")) == ("job", None)
    assert opened(check(KEY_TEXT, "job")) == ("job", "ops")
    assert opened(check("job-token-1")) == ("job", None)
    assert opened(check("11111111-AAAA-4aaa-8AAA-1111111111AA")) == ("job", None)
    assert opened(check(TOKENS.of(2, 0))) == ("other", None)
    assert opened(check(TOKENS.of(2, 0).upper())) == ("other", None)


def test_nothing_opens_anything_else() -> None:
    check = credentials().check
    assert check(KEY_TEXT, "other") is RejectReason.WRONG_SECRET  # the selector does not match
    assert check(KEY_TEXT, "job9") is RejectReason.UNKNOWN_TAG
    assert check(KEY_TEXT, "job9", create=True) is RejectReason.UNKNOWN_TAG  # this key creates nothing
    assert check("maker-key-1", "ci-1") is RejectReason.UNKNOWN_TAG
    assert check("older", "other") is RejectReason.WRONG_SECRET
    assert check("job-token-1", "job") is RejectReason.WRONG_SECRET  # a token is no secret
    for token in (SECRET, KEY_TEXT, "JOB-TOKEN-1", "", TOKENS.of(3, 0), TOKENS.of(2, 1)):
        assert check(token) is RejectReason.UNKNOWN_TOKEN


def test_a_grant_for_creation_has_no_monitor_yet() -> None:
    grant = credentials().check("maker-key-1", "ci-1", create=True)
    assert opened(grant) == ("ci-1", "maker")
    with pytest.raises(LookupError, match="ensure"):
        _ = grant.monitor  # type: ignore[union-attr]


def test_built_in_tokens_can_be_switched_off() -> None:
    made = credentials()
    made.built_in_tokens = False
    assert made.check(TOKENS.of(2, 0)) is RejectReason.UNKNOWN_TOKEN
    assert opened(made.check("job-token-1")) == ("job", None)


def test_the_fleet_forgets_tokens_that_are_gone() -> None:
    fleet = fleet_of(monitor(1, "job", SECRET, ["token-one-1"]))
    assert fleet.with_token(digest("token-one-1", KEY)) is not None
    fleet.update([monitor(1, "job", SECRET, ["token-two-2"])])
    assert fleet.with_token(digest("token-one-1", KEY)) is None
    assert fleet.with_token(digest("token-two-2", KEY)) is fleet.get("job")
    fleet.update([], removed=[1])
    assert fleet.with_token(digest("token-two-2", KEY)) is None
