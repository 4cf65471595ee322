"""Names of hosts beyond ASCII: the same host by both standards, or none."""

import pytest

from exporter.core.errors import InvalidValue
from exporter.core.hosts import ascii_form, ascii_name


@pytest.mark.parametrize(
    ("name", "ascii"),
    [
        ("smtp.example.org", "smtp.example.org"),
        ("xn--strae-oqa.de", "xn--strae-oqa.de"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("bu\u0308cher.example", "xn--bcher-kva.example"),
        ("例え.テスト", "xn--r8jz45g.xn--zckzah"),
        ("пример。испытание", "xn--e1afmkfd.xn--80akhbyknj4f"),
    ],
)
def test_names_on_which_both_standards_agree(name: str, ascii: str) -> None:
    assert ascii_name(name) == ascii


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("straße.de", "xn--strae-oqa.de"),
        ("STRAẞE.de", "xn--strae-oqa.de"),
        ("mail.βόλος.com", "mail.xn--nxasmm1c.com"),
        ("نامه\u200cای.com", "xn--mgba3gch31f060k.com"),
        ("ශ්\u200dරී.com", "xn--10cl1a0b660p.com"),
    ],
)
def test_names_that_lead_to_two_hosts_are_refused_with_the_right_one(name: str, form: str) -> None:
    assert ascii_form(name) == form
    with pytest.raises(InvalidValue) as caught:
        ascii_name(name)
    assert f"write it in ASCII, {form}" in str(caught.value)


@pytest.mark.parametrize("name", ["ü" * 60 + ".example", "ü..example", "\u202eü.example"])
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(InvalidValue):
        ascii_name(name)
