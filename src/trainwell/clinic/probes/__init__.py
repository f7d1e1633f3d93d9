"""One file a probe: ``probe(subject)`` yields what it suspects. Found by place."""
