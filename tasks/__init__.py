"""One file a step of the pipeline, and the engines that the steps call."""
