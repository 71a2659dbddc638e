"""What can be asked for, one module for each sort of thing. Each operation is a permission, a service and a shape."""
