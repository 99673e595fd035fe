"""Terms counted in texts (Transformations, "TextIndex")."""

import math
import re
from collections import Counter
from collections.abc import Callable
from functools import lru_cache, partial

from pmml_worker.errors import SchemaError
from pmml_worker.schema.elements import TableLocator, TextIndex, TextIndexNormalization
from pmml_worker.transform.regex import regex, replacement

_TEXTS = 4096
"""Texts whose words are remembered, because many terms are counted in each."""

_ROUNDS = 100
"""Passes of a recursive normalization after which a text that still changes is taken as it is."""


def levenshtein(left: str, right: str, limit: int) -> int:
    """The number of letters to change, add or leave out to make one word of the other; limit + 1 if it is more."""
    if abs(len(left) - len(right)) > limit:
        return limit + 1
    before = list(range(len(right) + 1))
    for row, letter in enumerate(left, 1):
        current = [row]
        for column, other in enumerate(right, 1):
            current.append(min(before[column] + 1, current[-1] + 1, before[column - 1] + (letter != other)))
        if min(current) > limit:
            return limit + 1
        before = current
    return min(before[-1], limit + 1)


def _replace_similar(phrase: str, into: str, limit: int, sensitive: bool, separator: re.Pattern[str], text: str) -> str:
    """A text in which words that are a phrase's, up to some letters, are replaced."""
    wanted = [word for word in separator.split(phrase if sensitive else phrase.lower()) if word]
    gaps = [match.span() for match in separator.finditer(text)]
    edges = [0, *(edge for gap in gaps for edge in gap), len(text)]
    spans = [(start, end) for start, end in zip(edges[::2], edges[1::2], strict=True) if start < end]
    words = [text[start:end] if sensitive else text[start:end].lower() for start, end in spans]
    parts: list[str] = []
    done = position = 0
    while wanted and position + len(wanted) <= len(words):
        window = words[position : position + len(wanted)]
        if sum(levenshtein(one, two, limit) for one, two in zip(window, wanted, strict=True)) <= limit:
            parts += [text[done : spans[position][0]], into]
            position += len(wanted)
            done = spans[position - 1][1]
        else:
            position += 1
    return "".join([*parts, text[done:]])


class TermIndex:
    """A compiled TextIndex.

    Raises:
        re.error: one of its regular expressions is none.
    """

    def __init__(self, element: TextIndex) -> None:
        self.element = element
        self.limit = element.max_levenshtein_distance
        self.separator = regex(element.word_separator_character_r_e)
        self.word = None if element.x_word_r_e is None else regex(element.x_word_r_e)
        self.rules = [(item, self._rules(item)) for item in element.normalizations]
        self.words = lru_cache(maxsize=_TEXTS)(self._words)

    def _rules(self, item: TextIndexNormalization) -> list[Callable[[str], str]]:
        if isinstance(item.table, TableLocator):
            raise SchemaError(
                "<TextIndexNormalization> needs an <InlineTable>: write the table's rows into the document", item.line
            )
        own = self.element
        sensitive = own.is_case_sensitive if item.is_case_sensitive is None else item.is_case_sensitive
        limit = self.limit if item.max_levenshtein_distance is None else item.max_levenshtein_distance
        separator = item.word_separator_character_r_e or own.word_separator_character_r_e
        flags = 0 if sensitive else re.IGNORECASE
        rules: list[Callable[[str], str]] = []
        for row in item.table.rows if item.table else ():
            pattern, into = row.cells.get(item.in_field, ""), row.cells.get(item.out_field, "")
            if row.cells.get(item.regex_field, "false").strip() == "true":
                compiled = regex(pattern, flags)
                rules.append(partial(compiled.sub, replacement(compiled, into)))
            elif limit:
                rules.append(partial(_replace_similar, pattern, into, limit, sensitive, regex(separator)))
            else:
                compiled = re.compile(rf"(?<!\w){re.escape(pattern)}(?!\w)", flags)
                rules.append(partial(compiled.sub, into.replace("\\", r"\\")))
        return rules

    def _normalize(self, text: str) -> str:
        for item, rules in self.rules:
            for _ in range(_ROUNDS if item.recursive else 1):
                before = text
                for rule in rules:
                    text = rule(text)
                if text == before:
                    break
        return text

    def _words(self, text: str, is_term: bool) -> tuple[str, ...]:
        text = text if is_term else self._normalize(text)
        text = text if self.element.is_case_sensitive else text.lower()
        if self.word is not None:
            return tuple(match.group() for match in self.word.finditer(text))
        if is_term and not self.element.tokenize:
            return (text,)
        return tuple(word for word in self.separator.split(text) if word)

    def hits(self, text: str, term: str) -> int:
        """How often a term's words follow one another in a text, up to the Levenshtein distance allowed."""
        words, wanted = self.words(text, False), self.words(term, True)
        if not wanted:
            return 0
        if self.limit == 0:
            return sum(words[start : start + len(wanted)] == wanted for start in range(len(words) - len(wanted) + 1))
        distances: Counter[int] = Counter()
        for start in range(len(words) - len(wanted) + 1):
            window = words[start : start + len(wanted)]
            distance = sum(levenshtein(one, two, self.limit) for one, two in zip(window, wanted, strict=True))
            if distance <= self.limit:
                distances[distance] += 1
        if self.element.count_hits == "bestHits":
            return distances[min(distances)] if distances else 0
        return sum(distances.values())

    def weight(self, text: str, term: str) -> float:
        """The weight of a term in a text ("localTermWeights")."""
        count = self.hits(text, term)
        match self.element.local_term_weights:
            case "termFrequency":
                return count
            case "binary":
                return min(count, 1)
            case "logarithmic":
                return math.log10(1 + count)
            case "augmentedNormalizedTermFrequency":
                most = max(Counter(self.words(text, False)).values(), default=1)
                return 0.5 * (min(count, 1) + count / most)
