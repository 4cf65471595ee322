"""Secrets that are short enough to be guessed: taken, since a user may move in with them, and named."""

from exporter.config.settings import Secret, Settings

SHORTEST = 16
"""Characters. What `monitor add` makes has 32."""
_NAMED = 10


def short_tokens(settings: Settings) -> list[str]:
    """The names of tokens that are too short."""
    auth = settings.web.auth
    tokens = {"token": auth.token, "metrics_token": auth.metrics_token}
    return [name for name, token in tokens.items() if token is not None and is_short(token)]


def short_secrets(settings: Settings) -> list[str]:
    """The tags of monitors whose secrets are too short."""
    return [one.monitor.tag for one in settings.monitors if is_short(one.secret)]


def is_short(secret: Secret) -> bool:
    return len(secret.reveal()) < SHORTEST


def warnings_of(settings: Settings) -> list[str]:
    """A line for each kind of secret that is too short; holds none of them."""
    found = [
        f"web.auth.{name} has fewer than {SHORTEST} characters and can be guessed" for name in short_tokens(settings)
    ]
    tags = short_secrets(settings)
    if tags:
        more = f" and {len(tags) - _NAMED:,} more" if len(tags) > _NAMED else ""
        found.append(
            f"{len(tags):,} monitor{' has a secret' if len(tags) == 1 else 's have secrets'} of fewer than {SHORTEST} "
            f"characters, which can be guessed: {', '.join(tags[:_NAMED])}{more}; "
            "make others with `openssl rand -hex 24`"
        )
    weak = [one.monitor.tag for one in settings.monitors if any(map(is_short, (*one.secrets, *one.tokens)))]
    if weak:
        found.append(
            f"{len(weak):,} monitor{'' if len(weak) == 1 else 's'} with secrets or tokens of fewer than {SHORTEST} "
            f"characters, which can be guessed: {', '.join(weak[:_NAMED])}"
        )
    found += [
        f"the ping key {key.name!r} has fewer than {SHORTEST} characters and can be guessed"
        for key in settings.ping_keys
        if is_short(key.key)
    ]
    return found
