"""Warnings about secrets that are short enough to be guessed. They are accepted, so that users can migrate."""

from exporter.config.settings import Secret, Settings

MIN_LENGTH = 16
"""Characters. A secret that `monitor add` generates has 32."""
_MAX_NAMED = 10


def short_tokens(settings: Settings) -> list[str]:
    """Returns the names of the tokens that are too short."""
    auth = settings.web.auth
    tokens = {"token": auth.token, "metrics_token": auth.metrics_token}
    return [name for name, token in tokens.items() if token is not None and is_short(token)]


def short_secrets(settings: Settings) -> list[str]:
    """Returns the tags of the monitors whose secrets are too short."""
    return [entry.monitor.tag for entry in settings.monitors if is_short(entry.secret)]


def is_short(secret: Secret) -> bool:
    return len(secret.reveal()) < MIN_LENGTH


def warnings_of(settings: Settings) -> list[str]:
    """Returns one line for each kind of secret that is too short; no line contains a secret."""
    warnings = [
        f"web.auth.{name} has fewer than {MIN_LENGTH} characters and can be guessed" for name in short_tokens(settings)
    ]
    tags = short_secrets(settings)
    if tags:
        more = f" and {len(tags) - _MAX_NAMED:,} more" if len(tags) > _MAX_NAMED else ""
        warnings.append(
            f"{len(tags):,} monitor{' has a secret' if len(tags) == 1 else 's have secrets'} of fewer than "
            f"{MIN_LENGTH} characters, which can be guessed: {', '.join(tags[:_MAX_NAMED])}{more}; "
            "generate new ones with `openssl rand -hex 24`"
        )
    weak = [entry.monitor.tag for entry in settings.monitors if any(map(is_short, (*entry.secrets, *entry.tokens)))]
    if weak:
        warnings.append(
            f"{len(weak):,} monitor{'' if len(weak) == 1 else 's'} with secrets or tokens of fewer than {MIN_LENGTH} "
            f"characters, which can be guessed: {', '.join(weak[:_MAX_NAMED])}"
        )
    warnings += [
        f"the ping key {key.name!r} has fewer than {MIN_LENGTH} characters and can be guessed"
        for key in settings.ping_keys
        if is_short(key.key)
    ]
    return warnings
