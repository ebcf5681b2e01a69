"""What runs: estimators, policies, methods, parent networks and the search loop."""
