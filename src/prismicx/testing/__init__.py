"""The test kit: pytest fixtures for real servers, and the contracts that every backend keeps.

Import what you need from its modules; the fixtures come with the pytest plugin, which needs no import.
"""
