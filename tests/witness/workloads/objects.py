"""Fills an interpreter's heap with everyday objects, then stops under the witness (SIGUSR2)."""
import json
import os
import re
import signal


class Node:
    def __init__(self, name, parent):
        self.name = name
        self.parent = parent  # a cycle: parent and child know each other
        self.children = []
        self.attributes = {"name": name, "depth": parent.depth + 1 if parent else 0}
        if parent:
            parent.children.append(self)

    @property
    def depth(self):
        return self.attributes["depth"]


def build_tree(depth, width, parent=None):
    node = Node(f"node-{depth}-{width}", parent)
    if depth > 0:
        for i in range(width):
            build_tree(depth - 1, width, node)
    return node


tree = build_tree(5, 4)
texts = [json.dumps({str(i): list(range(i % 50)), "text": "x" * (i % 3000)}) for i in range(2000)]
parsed = [json.loads(text) for text in texts[::3]]
words = {}
for text in texts:
    for word in re.findall(r"[a-z]+|\d+", text)[:40]:
        words[word] = words.get(word, 0) + 1
del texts[::2]
buffers = [bytearray(n) for n in (100, 5000, 70000, 200000, 3000000)]
os.kill(os.getpid(), signal.SIGUSR2)
