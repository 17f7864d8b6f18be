"""The Kubernetes API as the operator uses it: a lean client, the port's implementation, Events and watches."""
