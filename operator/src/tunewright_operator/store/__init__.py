"""What the operator knows of the cluster: projections of watched objects with indices, and who a change wakes."""
