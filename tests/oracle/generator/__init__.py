"""Requests by chance, the same for the same seed: keys, masks and actions, valid and nearly so.

tree.py      attributes as a tree, which can be bent before it becomes bytes
keys.py      flow keys, and masks for them
actions.py   lists of actions
mutate.py    what makes a valid tree nearly valid
cases.py     flows installed, read, changed and deleted; frames executed
"""
