"""Pictures and tables from run folders; reads files, never live objects."""
