"""Attributes as a tree."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.oracle.messages import attr


@dataclass
class Node:
    """An attribute; `length` replaces what nla_len says, `after` follows its padding."""

    number: int
    content: bytes | list[Node] = field(default=b"")
    length: int | None = None
    after: bytes = b""

    def build(self) -> bytes:
        """The attribute as bytes."""
        payload = self.content if isinstance(self.content, bytes) else build(self.content)
        return attr(self.number, payload, length=self.length) + self.after

    def copy(self) -> Node:
        """Another one like it."""
        content = self.content
        if not isinstance(content, bytes):
            content = [node.copy() for node in content]
        return Node(self.number, content, self.length, self.after)


def build(nodes: list[Node]) -> bytes:
    """Attributes as bytes."""
    return b"".join(node.build() for node in nodes)
