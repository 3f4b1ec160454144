"""Quantities as people and damo write them ("5 ms", "4 KiB", "20 %") to the integers of the kernel's files, and back.

Parsers take text, or a bare number in the field's own unit, and return an integer from 0 to `maximum`; they raise
UnitError, which names the field, the value and the forms that are allowed. "min" is the smallest value of a field and
"max" the largest. Formatters give text that the parser of the same name reads back to the same integer.

Fractions must come out as a whole number of the field's unit: "1.5 ms" is 1500 µs, "0.5 us" is refused. Sizes are the
exception: damo prints them with three decimals of a binary unit, so they are cut to whole bytes as damo cuts them.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction

from damoos.errors import UnitError

U32_MAX = 2**32 - 1
U64_MAX = 2**64 - 1

_NUMBER = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?"
_PLAIN = re.compile(rf"-?{_NUMBER}")
_PERCENT = re.compile(rf"(-?{_NUMBER})\s*%")
_SIZE = re.compile(rf"({_NUMBER})\s*(?:([KMGTPE])(?:I?B)?|B)", re.IGNORECASE)
_TIME_PART = re.compile(rf"\s*({_NUMBER})\s*(ns|us|µs|μs|ms|s|min|m|h|d)(?![a-zµμ])")

_NS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9}
_NS |= {"m": 60 * 10**9, "min": 60 * 10**9, "h": 3600 * 10**9, "d": 86_400 * 10**9}
_SIZE_UNITS = ("", "K", "M", "G", "T", "P", "E")

_TIME_FORMS = 'a time such as "5 ms", "1.5 s", "1 m 30 s" (ns, us, ms, s, m, h, d) or a bare number of {unit}'
_SIZE_FORMS = 'a size such as "4 KiB", "4K", "1.5 GiB" or a bare number of bytes'
_PART_FORMS = 'a share such as "20 %" or a bare number of {unit}'


def parse_time_us(value: object, *, field: str | None = None, maximum: int = U64_MAX) -> int:
    """A time in µs; bare numbers are µs."""
    return _time(value, 10**3, "us", field, maximum)


def parse_time_ms(value: object, *, field: str | None = None, maximum: int = U64_MAX) -> int:
    """A time in ms; bare numbers are ms."""
    return _time(value, 10**6, "ms", field, maximum)


def parse_size_bytes(value: object, *, field: str | None = None, maximum: int = U64_MAX) -> int:
    """A size in bytes; K, KB and KiB all mean 1024, in any case. A fraction of a byte is cut off."""
    number = _bare(value, 0, maximum)
    if number is None:
        match = _SIZE.fullmatch(str(value).strip())
        if match is None:
            raise UnitError("not a size", field=field, value=value, allowed=_SIZE_FORMS)
        number = _decimal(match[1]) * 1024 ** _SIZE_UNITS.index((match[2] or "").upper())
    return _integer(Fraction(math.floor(number)), value, field, _SIZE_FORMS, 0, maximum)


def parse_permil(value: object, *, field: str | None = None, maximum: int = U32_MAX) -> int:
    """A share in permil: "50 %" is 500, and so is a bare 500."""
    return _share(value, 10, "permil", field, maximum)


def parse_bp(value: object, *, field: str | None = None, maximum: int = U64_MAX) -> int:
    """A share in basis points (1/10,000): "4 %" is 400, and so is a bare 400."""
    return _share(value, 100, "basis points", field, maximum)


def parse_percent(value: object, *, field: str | None = None) -> Fraction:
    """A share in percent, exact, not negative: "3.7 %" is 37/10, and so is a bare 3.7."""
    forms = _PART_FORMS.format(unit="percent")
    number = _bare(value, 0, None)
    if number is None:
        match = _PERCENT.fullmatch(str(value).strip())
        if match is None:
            raise UnitError("not a percentage", field=field, value=value, allowed=forms)
        number = _decimal(match[1])
    if number < 0:
        raise UnitError("negative", field=field, value=value, allowed=forms)
    return number


def parse_count(value: object, *, field: str | None = None, minimum: int = 0, maximum: int = U64_MAX) -> int:
    """A whole number without unit; thousands commas are fine in text."""
    forms = f'a whole number from {minimum} to {maximum}, "min" or "max"'
    number = _bare(value, minimum, maximum)
    if number is None:
        raise UnitError("not a number", field=field, value=value, allowed=forms)
    return _integer(number, value, field, forms, minimum, maximum)


def parse_bool(value: object, *, field: str | None = None) -> bool:
    """A truth value: true and false of JSON and YAML, or y, yes, true, n, no, false in any case, as in damo."""
    if isinstance(value, bool):
        return value
    known = {"y": True, "yes": True, "true": True, "n": False, "no": False, "false": False}
    if isinstance(value, str) and value.lower() in known:
        return known[value.lower()]
    raise UnitError("not a truth value", field=field, value=value, allowed="true, false, " + ", ".join(known))


def format_time_us(us: int, *, maximum: int = U64_MAX) -> str:
    """ "5 ms", "1.5 s", "1 m 30 s"; "max" for `maximum`."""
    return "max" if us == maximum else _time_text(us)


def format_time_ms(ms: int, *, maximum: int = U64_MAX) -> str:
    """As format_time_us, of milliseconds."""
    return "max" if ms == maximum else _time_text(ms * 1000)


def format_size_bytes(size: int, *, maximum: int = U64_MAX) -> str:
    """In the largest binary unit exact with three decimals ("1.5 GiB", "1,001 B"); "max" for `maximum`."""
    if size == maximum:
        return "max"
    for power in range(len(_SIZE_UNITS) - 1, 0, -1):
        unit = 1024**power
        if size >= unit and size * 1000 % unit == 0:
            return f"{_decimal_text(Fraction(size, unit))} {_SIZE_UNITS[power]}iB"
    return f"{size:,} B"


def format_percent(percent: Fraction | int) -> str:
    """ "3.7 %". Only for shares with a finite decimal expansion, which all parsed ones have."""
    return f"{_decimal_text(Fraction(percent))} %"


def format_permil(permil: int) -> str:
    """Permil as percent: 25 is "2.5 %"."""
    return format_percent(Fraction(permil, 10))


def format_bp(bp: int) -> str:
    """Basis points as percent: 37 is "0.37 %"."""
    return format_percent(Fraction(bp, 100))


def format_count(count: int, *, maximum: int = U64_MAX) -> str:
    """ "1,000"; "max" for `maximum`."""
    return "max" if count == maximum else f"{count:,}"


def _time(value: object, ns_per_unit: int, unit: str, field: str | None, maximum: int) -> int:
    forms = _TIME_FORMS.format(unit=unit)
    number = _bare(value, 0, maximum)
    if number is None:
        text, position, ns = str(value).strip(), 0, Fraction(0)
        while position < len(text) or not text:
            part = _TIME_PART.match(text, position)
            if part is None:
                raise UnitError("not a time", field=field, value=value, allowed=forms)
            ns += _decimal(part[1]) * _NS[part[2]]
            position = part.end()
        number = ns / ns_per_unit
    return _integer(number, value, field, forms, 0, maximum)


def _share(value: object, per_percent: int, unit: str, field: str | None, maximum: int) -> int:
    forms = _PART_FORMS.format(unit=unit)
    number = _bare(value, 0, maximum)
    if number is None:
        match = _PERCENT.fullmatch(str(value).strip())
        if match is None:
            raise UnitError("not a share", field=field, value=value, allowed=forms)
        number = _decimal(match[1]) * per_percent
    return _integer(number, value, field, forms, 0, maximum)


def _bare(value: object, minimum: int, maximum: int | None) -> Fraction | None:
    """The number that a value without unit stands for; None if it is text of another form or no number at all."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, float):
        # Through its shortest decimal, so that 3.7 means 37/10 and not the nearest binary fraction.
        return Fraction(repr(value)) if math.isfinite(value) else None
    if isinstance(value, int):
        return Fraction(value)
    text = value.strip()
    if text == "min":
        return Fraction(minimum)
    if text == "max" and maximum is not None:
        return Fraction(maximum)
    return _decimal(text) if _PLAIN.fullmatch(text) else None


def _integer(number: Fraction, value: object, field: str | None, forms: str, minimum: int, maximum: int) -> int:
    if number.denominator != 1:
        raise UnitError("not a whole number of the field's unit", field=field, value=value, allowed=forms)
    if not minimum <= number <= maximum:
        limits = f"{minimum} to {maximum}"
        raise UnitError("out of range", field=field, value=value, allowed=limits)
    return int(number)


def _decimal(text: str) -> Fraction:
    return Fraction(text.replace(",", ""))


def _decimal_text(number: Fraction) -> str:
    """The exact decimal expansion; the denominator has no prime factors but 2 and 5."""
    whole, rest = divmod(number, 1)
    digits = ""
    while rest:
        digit, rest = divmod(rest * 10, 1)
        digits += str(digit)
    return f"{whole:,}.{digits}" if digits else f"{whole:,}"


def _time_text(us: int) -> str:
    parts = []
    for unit in ("d", "h", "m"):
        count, us = divmod(us, _NS[unit] // 1000)
        if count:
            parts.append(f"{count:,} {unit}")
    unit = "s" if us >= 10**6 or parts else "ms" if us >= 1000 else "us"
    if us or not parts:
        parts.append(f"{_decimal_text(Fraction(us * 1000, _NS[unit]))} {unit}")
    return " ".join(parts)
