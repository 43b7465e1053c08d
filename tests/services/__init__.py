"""Real services that tests start by themselves."""
