"""A pickle as plain data: nothing is imported, and nothing is called on its behalf.

The opcodes are read with `pickletools` and carried out on plain values only. What stands for a global, and what is
built where the pickle would call it, is for the reader of the file to say. No opcode here makes much out of little, so
the memory that is needed is bounded by the size of the pickle.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, BinaryIO

MOST_OPCODES = 2_000_000
"""A file of torch.save takes some forty for each tensor."""
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_VALUES = {
    *("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE"),
    *("SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES"),
}
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_IGNORED = {"PROTO", "FRAME"}
_PLAIN = (str, bytes, int, float, type(None))


class PickleError(ValueError):
    """A pickle that is damaged, or asks for more than plain data."""


@dataclass(frozen=True)
class Global:
    """What stands for a class, a function or a constant."""

    name: str  # as the pickle has it: `collections.OrderedDict`
    build: Callable[..., Any] | None = None  # what to do where the pickle calls it; None where it is never called


def read_pickle(file: BinaryIO, find: Callable[[str], Global], persistent: Callable[[Any], Any] | None = None) -> Any:
    """Read one pickle and leave the file behind its last byte.

    `find` is given the name of a global and returns what stands for it, or raises an error that names it; `persistent`
    is given the key of an object that the pickle keeps elsewhere. PickleError when the pickle is cut short, damaged,
    too long, or uses an opcode that plain data does not need.
    """
    machine = _Machine(find, persistent)
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(file)):
            if count > MOST_OPCODES:
                raise PickleError(f"it has more than {MOST_OPCODES:,} opcodes")
            if opcode.name == "STOP":
                return machine.stack.pop()
            machine.do(opcode.name, argument)
    except (LookupError, TypeError, AttributeError) as error:
        raise PickleError("its opcodes do not fit each other") from error
    except PickleError:
        raise
    except ValueError as error:
        raise PickleError(str(error)) from error
    raise PickleError("it has no end")


def mapping(pairs: Iterable[tuple[Any, Any]] = ()) -> dict[Any, Any]:
    """Return a dict of (key, value) pairs; PickleError unless each key is a plain value, or a tuple of such."""
    found = {}
    for key, value in pairs:
        # Tuples within tuples, each holding the one before twice, take forever to hash.
        if not isinstance(key, _PLAIN) and not (isinstance(key, tuple) and all(isinstance(x, _PLAIN) for x in key)):
            raise PickleError(f"a dict in it has a key of type {type(key).__name__}")
        found[key] = value
    return found


class _Machine:
    """The stack, the marks on it and the memo of one pickle."""

    def __init__(self, find: Callable[[str], Global], persistent: Callable[[Any], Any] | None) -> None:
        self.find, self.persistent = find, persistent
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def do(self, name: str, argument: Any) -> None:
        stack = self.stack
        if name in _VALUES:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(self.memo[argument])
        elif name in ("BINPUT", "LONG_BINPUT"):
            self.memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = stack[-1]
        elif name == "MARK":
            self.marks.append(len(stack))
        elif name == "TUPLE":
            stack.append(tuple(self.since_mark()))
        elif name in _TUPLES:
            stack.append(tuple(self.last(_TUPLES[name])))
        elif name not in _IGNORED:
            self.build(name, argument)

    def build(self, name: str, argument: Any) -> None:
        stack = self.stack
        if name == "EMPTY_DICT":
            stack.append({})
        elif name == "EMPTY_LIST":
            stack.append([])
        elif name == "SETITEM":
            self.set_items(self.last(2))
        elif name == "SETITEMS":
            self.set_items(self.since_mark())
        elif name == "APPEND":
            self.extend(self.last(1))
        elif name == "APPENDS":
            self.extend(self.since_mark())
        elif name == "GLOBAL":
            stack.append(self.find(argument.replace(" ", ".")))
        elif name == "STACK_GLOBAL":
            stack.append(self.find(".".join(self.last(2))))
        elif name in ("REDUCE", "NEWOBJ"):
            function, arguments = self.last(2)
            if not isinstance(function, Global) or function.build is None:
                raise PickleError("it calls what is no function")
            stack.append(function.build(*arguments))
        elif name == "BUILD":
            self.last(1)  # attributes of an object; plain data has none
        elif name == "BINPERSID" and self.persistent is not None:
            stack.append(self.persistent(*self.last(1)))
        else:
            raise PickleError(f"it uses the opcode {name}, which tensors and plain values do not need")

    def last(self, count: int) -> list[Any]:
        """Take the last values off the stack, none from before the last mark."""
        at = len(self.stack) - count
        if at < (self.marks[-1] if self.marks else 0):
            raise PickleError("it takes more values than it has")
        taken = self.stack[at:]
        del self.stack[at:]
        return taken

    def since_mark(self) -> list[Any]:
        at = self.marks.pop()
        taken = self.stack[at:]
        del self.stack[at:]
        return taken

    def extend(self, items: list[Any]) -> None:
        if not isinstance(self.stack[-1], list):
            raise PickleError("it appends to what is no list")
        self.stack[-1].extend(items)

    def set_items(self, items: list[Any]) -> None:
        if not isinstance(self.stack[-1], dict) or len(items) % 2:
            raise PickleError("it sets entries of what is no dict")
        self.stack[-1].update(mapping(zip(items[::2], items[1::2], strict=True)))
