"""The benchmarks: what the road costs, beside the best hand-written loop, in one invocation. `python -m bench`."""
