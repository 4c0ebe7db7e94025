"""Pictures of MuJoCo and Meta-World scenes on every machine, with or without OpenGL."""
