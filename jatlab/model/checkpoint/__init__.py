"""Models on disk and on the hub, in our layout and in the published one."""
