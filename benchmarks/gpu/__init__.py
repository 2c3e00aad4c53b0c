"""What a machine with one GPU is asked, in stages: see `gpu.main`."""
