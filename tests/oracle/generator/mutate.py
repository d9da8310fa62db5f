"""What makes a tree of attributes nearly valid."""

from __future__ import annotations

from random import Random

from tests.oracle.generator.tree import Node, build


def mutate(random: Random, nodes: list[Node]) -> bytes:
    """The attributes as bytes, with one or two things wrong, or other than usual."""
    nodes = [node.copy() for node in nodes]
    for _ in range(random.choice((1, 1, 2))):
        _change(random, nodes)
    data = build(nodes)
    if random.random() < 0.1 and data:
        data = data[: random.randrange(len(data))]
    elif random.random() < 0.05:
        data += random.randbytes(random.randrange(1, 4))
    return data


def _change(random: Random, nodes: list[Node]) -> None:
    """Change one place of the tree."""
    place = nodes
    while place:
        inner = [node.content for node in place if isinstance(node.content, list)]
        if not inner or random.random() < 0.5:
            break
        place = random.choice(inner)
    if not place:
        place.append(Node(random.randrange(40), random.randbytes(random.randrange(9))))
        return
    at = random.randrange(len(place))
    node = place[at]
    kind = random.randrange(12)
    if kind == 0:
        del place[at]
    elif kind == 1:
        place.insert(random.randrange(len(place) + 1), node.copy())
    elif kind == 2:
        node.number = random.choice((0, node.number ^ 1, random.randrange(40), 0x3FFF))
    elif kind == 3:
        node.number |= random.choice((0x8000, 0x4000))
    elif kind == 4:
        node.length = random.choice((0, 3, 4, 5, 8, len(node.build()) + 4, 0xFFFF))
    elif kind == 5:
        place[at:] = reversed(place[at:])
    elif kind == 6:
        place.append(Node(random.randrange(40), random.randbytes(random.randrange(9))))
    elif kind == 7:
        node.after = random.randbytes(random.choice((1, 2, 3, 4)))
    elif isinstance(node.content, bytes):
        node.content = _other_bytes(random, node.content)
    else:
        node.content = build(node.content)[: random.randrange(9)]


def _other_bytes(random: Random, content: bytes) -> bytes:
    """A payload of another length, or with another bit."""
    kind = random.randrange(4)
    if kind == 0:
        return content[:-1]
    if kind == 1:
        return content + random.randbytes(random.choice((1, 4)))
    if kind == 2 or not content:
        return b""
    at = random.randrange(len(content))
    return content[:at] + bytes([content[at] ^ 1 << random.randrange(8)]) + content[at + 1 :]
