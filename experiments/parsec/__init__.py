"""Workload models of the published benchmarks: measurements, the family of models, estimate, simulation."""
