"""The dialects of the stand-in, one venue a module; `wsadapter.embedded.exchange` lists them."""
