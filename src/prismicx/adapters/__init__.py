"""The outside world's answers to the domain's ports: one package per database technology; none imports another."""
