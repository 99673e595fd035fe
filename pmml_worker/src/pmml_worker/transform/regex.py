"""Regular expressions of the Perl kind, as the standard asks for (BuiltinFunctions, "matches"), made Python's.

Where the dialects differ it is Java's, which producers write: `\\d`, `\\w` and `\\s` stand
for ASCII characters, `\\p{…}` names Unicode categories and POSIX classes, `\\Q…\\E` quotes.
"""

import re
import sys
import unicodedata
from functools import lru_cache

_ASCII = {
    "d": "0-9", "w": "a-zA-Z0-9_", "s": r" \t\n\x0b\f\r", "h": r" \t\xa0\u1680\u180e\u2000-\u200a\u202f\u205f\u3000",
    "v": r"\n\x0b\f\r\x85\u2028\u2029",
}  # fmt: skip
"""Classes that one letter names, as what stands between brackets."""

_OTHERS = {
    "D": r"\x00-/:-\U0010ffff", "W": r"\x00-/:-@\[-\^`{-\U0010ffff", "S": r"\x00-\x08\x0e-\x1f!-\U0010ffff",
}  # fmt: skip
"""The opposites of classes, as they stand inside another."""

_POSIX = {
    "Lower": "a-z", "Upper": "A-Z", "ASCII": r"\x00-\x7f", "Alpha": "a-zA-Z", "Digit": "0-9", "Alnum": "a-zA-Z0-9",
    "Punct": r"!-/:-@\[-`{-~", "Graph": "!-~", "Print": " -~", "Blank": r" \t", "Cntrl": r"\x00-\x1f\x7f",
    "XDigit": "0-9a-fA-F", "Space": r" \t\n\x0b\f\r",
}  # fmt: skip
_BINARY: dict[str, tuple[str, ...]] = {
    "IsAlphabetic": ("L", "Nl"), "IsLetter": ("L",), "IsDigit": ("Nd",), "IsPunctuation": ("P",), "IsPunct": ("P",),
    "IsUppercase": ("Lu",), "IsLowercase": ("Ll",), "IsWhite_Space": ("Z",), "IsL": ("L",), "IsN": ("N",),
    "IsP": ("P",), "IsS": ("S",), "IsZ": ("Z",),
}  # fmt: skip


@lru_cache(maxsize=64)
def _category(prefixes: tuple[str, ...]) -> str:
    """The characters of some Unicode categories, as what stands between brackets."""
    ranges: list[str] = []
    start = None
    for code in range(sys.maxunicode + 2):
        inside = code <= sys.maxunicode and unicodedata.category(chr(code)).startswith(prefixes)
        if inside and start is None:
            start = code
        elif not inside and start is not None:
            ranges.append(f"\\U{start:08x}-\\U{code - 1:08x}")
            start = None
    return "".join(ranges)


def _property(name: str) -> str:
    if name in _POSIX:
        return _POSIX[name]
    if name in _BINARY:
        return _category(_BINARY[name])
    if re.fullmatch(r"[LMNPSZC][a-z]?", name):
        return _category((name,))
    raise re.error(f"class {name} is not known")


_PART = re.compile(
    r"""\\Q(?P<quoted>.*?)(?:\\E|\Z)
    | \\(?P<negated>[pP])(?:\{\^?(?P<property>\w+)\}|(?P<category>[A-Z]))
    | \[:(?P<posix>\w+):\]
    | \\x\{(?P<code>[0-9a-fA-F]+)\}
    | \\(?P<letter>[dwshvDWSHV])
    | \\(?P<end>[zZ])
    | \\k<(?P<reference>\w+)>
    | \(\?<(?P<group>[A-Za-z]\w*)>
    | (?P<open>\[\^?\]?)
    | (?P<close>\])
    | (?P<both>&&)
    | \\. | .""",
    re.VERBOSE | re.DOTALL,
)


def _class(members: str, negated: bool, inside: bool) -> str:
    """A class of characters, as it is written alone or inside another."""
    if not inside:
        return f"[{'^' if negated else ''}{members}]"
    if negated:
        raise re.error("the opposite of a class inside a class is not supported")
    return members


def _translate(pattern: str) -> str:
    parts: list[str] = []
    inside = False
    for match in _PART.finditer(pattern):
        text = match.group()
        match match.lastgroup:
            case "quoted":
                text = re.escape(match["quoted"])
            case "property" | "category":
                negated = (match["negated"] == "P") != ("^" in text)
                text = _class(_property(match["property"] or match["category"]), negated, inside)
            case "posix" if inside:
                text = _property(match["posix"].capitalize())
            case "letter" if inside and match["letter"] in _OTHERS:
                text = _OTHERS[match["letter"]]
            case "letter":
                text = _class(_ASCII[match["letter"].lower()], match["letter"].isupper(), inside)
            case "code":
                text = re.escape(chr(int(match["code"], 16)))
            case "end" if not inside:
                text = r"\Z" if match["end"] == "z" else r"(?=\n?\Z)"
            case "reference":
                text = f"(?P={match['reference']})"
            case "group" if not inside:
                text = f"(?P<{match['group']}>"
            case "open" if inside:
                raise re.error("a class inside a class is not supported")
            case "open":
                inside = True
            case "close":
                inside = False
            case "both" if inside:
                raise re.error("an intersection of classes is not supported")
        parts.append(text)
    return "".join(parts)


@lru_cache(maxsize=1024)
def regex(pattern: str, flags: int = 0) -> re.Pattern[str]:
    """Compile a regular expression.

    Raises:
        re.error: it is none, or uses what is not supported.
    """
    return re.compile(_translate(pattern), flags)


_REFERENCE = re.compile(r"\\(.)|\$(\d)(\d*)|\$\{(\w+)\}|([\\$])", re.DOTALL)


def replacement(pattern: re.Pattern[str], text: str) -> str:
    """A replacement that refers to groups as `$1` or `${name}`, as Python writes it.

    Raises:
        re.error: it refers to a group that the pattern does not have.
    """

    def rewrite(match: re.Match[str]) -> str:
        escaped, digit, more, name, stray = match.groups()
        if stray is not None:
            raise re.error(f'the replacement has a lone "{stray}"')
        if escaped is not None:
            return "\\\\" if escaped == "\\" else str(escaped)
        if name is not None:
            if name not in pattern.groupindex:
                raise re.error(f'there is no group "{name}"')
            return f"\\g<{name}>"
        group = int(digit)
        # Java's reading: as many digits as there are groups for.
        while more and group * 10 + int(more[0]) <= pattern.groups:
            group, more = group * 10 + int(more[0]), more[1:]
        if group > pattern.groups:
            raise re.error(f"there is no group {group}")
        return f"\\g<{group}>{more}"

    return _REFERENCE.sub(rewrite, text)
