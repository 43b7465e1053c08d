"""Contract suites and fakes, shipped so that third-party back-ends can be put through them too."""
