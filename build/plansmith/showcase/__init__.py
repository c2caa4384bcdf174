"""Every model of a repository as the demo shows it: what it is, checked answers, real calls."""
