"""Where real kernels run, each behind `damoos.kernel.host.Host`."""
