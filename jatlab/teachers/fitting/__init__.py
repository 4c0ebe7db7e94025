"""How the teachers' numbers were found: ``teach`` for controllers, ``tune`` for Meta-World."""
