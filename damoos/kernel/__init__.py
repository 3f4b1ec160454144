"""Real kernels: DAMON through its sysfs files."""
