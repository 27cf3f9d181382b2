"""Loads the plugin from the working tree, so that a checkout needs no installation to be tried."""

pytest_plugins = ["pytester", "pytest_exprun.plugin"]
