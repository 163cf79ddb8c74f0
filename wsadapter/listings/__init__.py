"""Which symbols the rules of a feed stand for: the venues' listings as they are kept, and one place that resolves."""
