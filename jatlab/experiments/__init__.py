"""What was made with jatlab: recipes of two agents, ablations, baselines, benchmarks."""
