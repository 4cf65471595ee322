"""Numbers as prometheus_client writes them: shortest repr, with Go's exponents from a million on."""

_EXPONENTS = tuple(f"e+{length - 4:02d}" for length in range(16))
"""Of a million seconds and more, by the length of the number in milliseconds."""


def go_float(value: float) -> str:
    """What prometheus_client's floatToGoString gives for a finite `value`."""
    text = repr(float(value))
    if value < 1_000_000:
        return text
    dot = text.find(".")
    if dot > 6:
        mantissa = f"{text[0]}.{text[1:dot]}{text[dot + 1 :]}".rstrip("0.")
        return f"{mantissa}e+{dot - 1:02d}"
    return text


def go_count(value: int) -> str:
    """`go_float(value)` for what is never negative, without the detour through a float for most."""
    return f"{value}.0" if value < 1_000_000 else go_float(value)


def go_seconds(milliseconds: int) -> str:
    """`go_float(milliseconds / 1000)`, without the detour through a float for moments."""
    if milliseconds < 1_000_000_000:
        return repr(milliseconds / 1000)
    if milliseconds < 1_000_000_000_000_000:
        text = str(milliseconds)
        digits = text.rstrip("0")
        mantissa = f"{digits[0]}.{digits[1:]}" if len(digits) > 1 else digits
        return mantissa + _EXPONENTS[len(text)]
    return go_float(milliseconds / 1000)


def escape_label(value: str) -> str:
    """A label's value between its quotes."""
    if "\\" in value or "\n" in value or '"' in value:
        return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
    return value
