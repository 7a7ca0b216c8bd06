"""What runs, in what order: one file a flow, the command line, the configuration."""
