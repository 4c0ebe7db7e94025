"""The GPU kit: what a borrowed GPU is asked in fifteen minutes, prepared so that none is lost.

The machine that it is written for is bare: Python 3.12, torch for CUDA, no network. The kit brings
what it needs (`scripts/gpu/README.md`), runs its stages with a time limit each, goes on past a
stage that fails, and leaves all results in one folder of at most eight small files.
"""
