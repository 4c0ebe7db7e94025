"""Look-ahead search: Atari's teacher that plays any game without having learnt it.

``teacher`` is the search, ``plan`` what it improves, ``emulator`` where it simulates futures, and
``settings`` its numbers.
"""
