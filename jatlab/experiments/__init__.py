"""What was made with jatlab: recipes of the shipped agents, ablations, baselines, benchmarks."""
