"""Pages that move without a kernel: one episode as one file of HTML."""
