"""What must the algorithms do? Landscapes with a known truth, exact moments of any estimator, and claims T1-T13."""
