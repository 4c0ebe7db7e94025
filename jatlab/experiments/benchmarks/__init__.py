"""Speed and cost: of the algorithms, of acting, of training on a device, and counted in FLOPs."""
