"""What the API serves: one file for each resource, with its routes, its rules and its wire form."""
