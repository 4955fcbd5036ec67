"""The tokens of an answer, kept as a set beside the bundle: `--save-set NAME`."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from index.errors import ParameterError, one_line, parameter

if TYPE_CHECKING:
    from index.answers.answer import Answer
    from index.bundle.bundle import Bundle
    from index.questions.asking.question import Question


@dataclass
class Keeper:
    """Gathers the tokens of one answer, or of many, and writes them as one set."""

    name: str | None  # None: nothing is kept
    definition: str  # what was asked
    overwrite: bool
    ids: list[int] = field(default_factory=list)

    def require(self, question: Question[Any, Any], bundle: Bundle) -> None:
        """Raise ParameterError, before there is an answer, where its tokens cannot be kept."""
        if self.name is None:
            return
        from index.questions.asking.named_sets import require_free_name

        if not question.answer.names_tokens():
            raise ParameterError(f"{parameter('save_set')} keeps tokens, and an answer to {question.name} lists none")
        require_free_name(bundle, self.name, overwrite=self.overwrite)

    def add(self, found: Answer) -> None:
        """Gather the tokens of an answer."""
        if self.name is not None:
            self.ids += found.token_ids()

    def write(self, bundle: Bundle) -> None:
        """Write what was gathered, and say on standard error what that is."""
        if self.name is None:
            return
        from index.questions.asking.named_sets import save_set

        kept = save_set(bundle, self.name, self.ids, self.definition, overwrite=self.overwrite)
        print(one_line(f"@{kept.name} holds {len(kept.ids):,} tokens of {bundle.name}"), file=sys.stderr)
